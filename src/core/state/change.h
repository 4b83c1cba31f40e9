// What a commit changed, for those who act on it once it is durable: waiting claims, agents, outputs (design 3.8).
#pragma once

#include <string>

#include "base/ids.h"

namespace gantry::state {

struct Change {
  enum class Kind {
    task_defined,
    task_pending,   // a run waits to be claimed
    task_running,   // a run was claimed
    task_resolved,  // a run ended; the task may have a new pending run
    artifact_created,
    allocation_lost,  // a native node holds a run that is no longer its own (cancelled, expired)
  };
  Kind kind;
  TaskId task;
  int run = 0;
  std::string task_queue;  // task_pending
  NodeId node;             // allocation_lost
};

}  // namespace gantry::state
