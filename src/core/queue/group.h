// Task groups: whose tasks they are, sealing, cancelling, pulling.
//
// A group of one task that has its id needs no record; these functions treat both kinds alike. Before each of them, the
// record Group and the task whose id the group has must be in memory if they exist.
#pragma once

#include <vector>

#include "base/error.h"
#include "core/state/transaction.h"
#include "wire/task_definition.h"

namespace gantry::queue {

/// A group as people see it.
struct GroupView {
  TaskGroupId id;
  std::string scheduler;
  Time expires;
  Time sealed;  // epoch: not sealed
  bool pulls = false;
  std::int64_t tasks = 0;
  /// Its members are the rows of table group_member under this sequence, in order of creation. 0: it has no rows, its
  /// one member is the task that has its id.
  std::uint64_t members = 0;
};

/// Errors: not_found.
Result<GroupView> view_group(state::Transaction& tx, TaskGroupId group);

/// Adds the new task to its group, with what that needs; called by create(). `task` is not in the state yet.
/// Errors: conflict (another scheduler, sealed).
Result<void> join_group(state::Transaction& tx, const state::Task& task);
/// Records that join_group may write.
inline constexpr std::size_t join_group_operations = 3;

/// No task may join it any more. Again is fine. Errors: not_found.
Result<GroupView> seal_group(state::Transaction& tx, TaskGroupId group);

struct GroupCancel {
  GroupView group;
  std::vector<TaskId> tasks;  // every one that is cancelled, those of later steps included, by age
};
/// Cancels what is unresolved in a sealed group, except tasks whose deadline has passed. What does not fit into the
/// transaction is cancelled by continue_work(). Errors: not_found, conflict (not sealed).
Result<GroupCancel> cancel_group(state::Transaction& tx, TaskGroupId group);

/// Whether unscheduled tasks of this group pull what they wait for to their own priority (priority.h). Taking it back
/// leaves what was pulled where it is. Errors: not_found.
Result<GroupView> set_group_pulls(state::Transaction& tx, TaskGroupId group, bool pulls);

/// The unresolved tasks of a group, by age; its root, if that is one of them, first.
std::vector<TaskId> open_tasks(const state::State& state, TaskGroupId group);

/// To be called when a task was resolved: adds the change group_resolved if it was the last of its group.
void note_if_group_resolved(state::Transaction& tx, TaskId task);

/// Steps of Work{cancel_group} and Work{group_pulls}; true if it is finished.
bool continue_cancel_group(state::Transaction& tx, state::Work& work);
bool continue_group_pulls(state::Transaction& tx, state::Work& work);

}  // namespace gantry::queue
