// Priorities change, and are passed on along dependencies.
//
// Task::pulled: a task of a group that pulls gives its place in line to what it waits for, and that gives it on to what
// *it* waits for. Only ever raised: what was pulled stays so when whoever pulled it is cancelled or lowered.
// Invariant, but for open Work{pull} and Work{group_pulls}: for each unmet dependency of an unscheduled task that is
// not resolved, pulled >= passed_on(of the task).
#pragma once

#include "base/error.h"
#include "core/queue/group.h"
#include "core/state/transaction.h"

namespace gantry::queue {

/// Moves an unresolved task in its line; a change of its group that has not come to it yet leaves it alone. Errors:
/// not_found, conflict (it is resolved), unavailable (too many tasks were changed while their group is).
Result<const state::Task*> change_priority(state::Transaction& tx, TaskId task, state::Priority priority);

struct GroupPriority {
  GroupView group;
  std::int64_t tasks = 0;  // how many get it, those of later steps included
};
/// The same for every unresolved task of a group; what does not fit is left to continue_work(), in place of an earlier
/// change that is under way. In memory before the
/// call: as for group.h. Errors: not_found.
Result<GroupPriority> change_group_priority(state::Transaction& tx, TaskGroupId group, state::Priority priority);

/// What a task gives to those it waits for.
state::Priority passed_on(const state::Task& task);

/// Pulls what this task waits for, as far as the transaction has room; the rest is left to a Work{pull}, for which the
/// caller keeps room of one record.
void pull_dependencies(state::Transaction& tx, TaskId task);

/// The priority to which those that wait for this task pull it.
state::Priority pulled_by_dependents(const state::State& state, TaskId task);

/// Steps of Work{pull} and Work{prioritize_group}; true if it is finished.
bool continue_pull(state::Transaction& tx, state::Work& work);
bool continue_prioritize_group(state::Transaction& tx, state::Work& work);

}  // namespace gantry::queue
