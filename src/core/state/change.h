// What a commit changed, for those who act on it once it is durable: waiting claims, agents, outputs (design 3.8).
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "wire/queue_types.h"

namespace gantry::state {

struct Change {
  enum class Kind {
    task_defined,
    task_pending,            // a run waits to be claimed
    task_running,            // a run was claimed
    task_resolved,           // a run ended; the task may have a new pending run
    artifact_created,        // it can be read now
    group_resolved,          // no task of the group `task` is unresolved any more
    group_sealed,            // of the group `task`
    priority_changed,        // of `task`, from `priority_before`
    group_priority_changed,  // of the group `task`, to `priority`
    allocation_lost,         // a native node holds a run that is no longer its own (cancelled, expired)
  };
  Kind kind;
  TaskId task;
  int run = 0;
  std::string task_queue{};  // task_pending
  NodeId node{};             // allocation_lost
  std::string name{};        // artifact_created: its name; group_resolved, _sealed, _priority_changed: the schedulerId
  wire::Priority priority_before = wire::Priority::lowest;
  wire::Priority priority = wire::Priority::lowest;
  std::int64_t tasks_affected = 0;  // group_priority_changed: how many tasks have another priority now
};

}  // namespace gantry::state
