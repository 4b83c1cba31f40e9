// The definitions of tasks that users create.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "sim/random.h"
#include "wire/queue_types.h"

namespace gantry::sim {

struct TaskPlan {
  std::string task_queue;
  TaskGroupId group{};  // empty: its own
  std::vector<TaskId> dependencies{};
  bool any_outcome = false;
  wire::Priority priority = wire::Priority::lowest;
  int retries = 0;
  Time created;
  Time deadline;
};

/// What is not in the plan is drawn from `random`.
std::string definition_of(const TaskPlan& plan, Random& random);

}  // namespace gantry::sim
