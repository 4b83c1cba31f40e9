// Holds the log of events (core/queue/events.h), as it becomes durable, against what it is about: each run is told of
// step by step and each end exactly once; a group is resolved when no task of it is open, and that is told exactly once
// each time it comes to be so.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/oracle.h"
#include "store/store.h"
#include "wire/pulse_messages.h"

namespace gantry::sim {

class EventWatch {
 public:
  EventWatch(const Oracle& oracle, Oracle::Fail fail) : oracle_(oracle), fail_(std::move(fail)) {}

  /// Reads what is new on the disk.
  void read(store::Store& store);
  /// When everything is over and has been read: nothing that is known to have happened is missing.
  void check_end();
  std::uint64_t events() const { return events_; }

 private:
  enum class Told { nothing, pending, running, resolved };
  struct TaskTale {
    bool defined = false;
    bool open = false;
    TaskGroupId group;
    std::vector<Told> runs;
  };
  struct GroupTale {
    int open = 0;
    bool owed = false;  // none is open any more, and that has not been told yet
    int sealed = 0;     // how often
  };

  void read_row(std::string_view text);
  void status_is(TaskId id, const json::object& status);
  void run_event(TaskId id, wire::EventKind kind, const json::object& event, const json::object& status);
  void group_event(TaskGroupId id, wire::EventKind kind);
  void fail_task(TaskId id, std::string_view what);
  void fail_group(TaskGroupId id, std::string_view what);

  const Oracle& oracle_;
  Oracle::Fail fail_;
  std::optional<state::Key> after_;
  std::uint64_t events_ = 0;
  std::unordered_map<TaskId, TaskTale> tasks_;
  std::unordered_map<TaskGroupId, GroupTale> groups_;
};

}  // namespace gantry::sim
