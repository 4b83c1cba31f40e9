// What other systems are told of tasks and groups (taskcluster.md 2.11): the kinds of events, the exchange of each, and
// one message as every output sends it. Bodies are those of Taskcluster's schemas.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace gantry::wire {

enum class EventKind : std::uint8_t {
  task_defined,
  task_pending,
  task_running,
  artifact_created,
  task_completed,
  task_failed,
  task_exception,
  task_group_resolved,
  task_group_sealed,
  task_priority_changed,
  task_group_priority_changed,
  events_lost,  // ours: an output fell so far behind that events were dropped
};
inline constexpr int event_kind_count = 12;

/// "task-pending"
std::string_view name_of(EventKind kind);
std::optional<EventKind> parse_event_kind(std::string_view text);
/// "exchange/taskcluster-queue/v1/task-pending"; events_lost has one of Gantry's.
std::string_view exchange_of(EventKind kind);
/// About a task, and not about a group or the log itself.
bool is_about_task(EventKind kind);

/// An AMQP short string, which a routing key is.
inline constexpr std::size_t routing_key_bytes_max = 255;

struct PulseMessage {
  std::uint64_t number = 0;  // of the event; grows, with gaps
  EventKind kind = EventKind::task_defined;
  Time at;
  TaskId task;             // empty for events about groups
  TaskGroupId group;       // empty for events_lost
  std::string task_queue;  // empty for events about groups
  std::string routing_key;
  std::vector<std::string> routes;  // further routing keys: "route.<route>"
  std::string body;                 // JSON
};

/// Says that the events from `first` to `last` are not in the log any more; `last` is its number.
PulseMessage events_lost_message(std::uint64_t first, std::uint64_t last, Time now);

/// {"event","time","routingKey","message"}: the event for who reads no exchanges.
std::string event_json(const PulseMessage& message);

}  // namespace gantry::wire
