#include "wire/pulse_messages.h"

#include <array>

#include "base/json.h"

namespace gantry::wire {
namespace {

struct KindRow {
  EventKind kind;
  std::string_view name;
  std::string_view exchange;
};

#define GANTRY_QUEUE_EVENT(kind, name) {EventKind::kind, name, "exchange/taskcluster-queue/v1/" name}
/// In the order of EventKind.
constexpr std::array<KindRow, event_kind_count> kinds = {{
    GANTRY_QUEUE_EVENT(task_defined, "task-defined"),
    GANTRY_QUEUE_EVENT(task_pending, "task-pending"),
    GANTRY_QUEUE_EVENT(task_running, "task-running"),
    GANTRY_QUEUE_EVENT(artifact_created, "artifact-created"),
    GANTRY_QUEUE_EVENT(task_completed, "task-completed"),
    GANTRY_QUEUE_EVENT(task_failed, "task-failed"),
    GANTRY_QUEUE_EVENT(task_exception, "task-exception"),
    GANTRY_QUEUE_EVENT(task_group_resolved, "task-group-resolved"),
    GANTRY_QUEUE_EVENT(task_group_sealed, "task-group-sealed"),
    GANTRY_QUEUE_EVENT(task_priority_changed, "task-priority-changed"),
    GANTRY_QUEUE_EVENT(task_group_priority_changed, "task-group-priority-changed"),
    {EventKind::events_lost, "events-lost", "exchange/gantry/v1/events-lost"},
}};
#undef GANTRY_QUEUE_EVENT

const KindRow& row_of(EventKind kind) { return kinds[static_cast<std::size_t>(kind)]; }

}  // namespace

std::string_view name_of(EventKind kind) { return row_of(kind).name; }

std::string_view exchange_of(EventKind kind) { return row_of(kind).exchange; }

std::optional<EventKind> parse_event_kind(std::string_view text) {
  for (const KindRow& row : kinds) {
    if (row.name == text) return row.kind;
  }
  return std::nullopt;
}

bool is_about_task(EventKind kind) {
  switch (kind) {
    case EventKind::task_group_resolved:
    case EventKind::task_group_sealed:
    case EventKind::task_group_priority_changed:
    case EventKind::events_lost: return false;
    default: return true;
  }
}

PulseMessage events_lost_message(std::uint64_t first, std::uint64_t last, Time now) {
  PulseMessage message;
  message.number = last;
  message.kind = EventKind::events_lost;
  message.at = now;
  message.routing_key = "primary._";
  JsonWriter out(message.body);
  out.begin_object().field("version", 1).field("first", first).field("last", last);
  out.field("count", last - first + 1).end_object();
  return message;
}

std::string event_json(const PulseMessage& message) {
  std::string text;
  text.reserve(message.body.size() + message.routing_key.size() + 100);
  JsonWriter out(text);
  out.begin_object().field("event", name_of(message.kind)).field("time", message.at);
  out.field("routingKey", message.routing_key).key("message").raw(message.body).end_object();
  return text;
}

}  // namespace gantry::wire
