// A task enters the queue.
#pragma once

#include <span>

#include "base/error.h"
#include "core/state/transaction.h"
#include "wire/task_definition.h"

namespace gantry::queue {

/// What create() has to know of a dependency: read from its record, wherever that is.
struct DependencyFacts {
  TaskId id;
  std::uint64_t sequence = 0;
  state::TaskState state = state::TaskState::unscheduled;
  Time expires;
};

enum class Start {
  when_ready,      // createTask: pending as soon as what it depends on allows
  when_scheduled,  // defineTask: unscheduled until somebody schedules it, whatever it depends on
};

/// Creates the task, stores its definition, and makes it pending unless it has to wait. The same id with an equal
/// definition changes nothing and succeeds; with another definition it is a conflict.
///
/// Must be in memory before the call, if they exist at all (what is not found is taken for absent):
///  - the task `id` itself;
///  - the tasks of definition.dependencies; the resolved ones may be given in `facts` instead, so that 10,000 of them
///    need not be in memory at once. Where a dependency is in memory, that counts;
///  - the record Group of definition.group, and the task whose id the group has.
///
/// A dependency counts as met at once if it completed, or has any outcome and the definition says all-resolved. A
/// dependency on itself is never met: the task stays unscheduled until schedule(). Rows for listDependentTasks that do
/// not fit into the transaction are left to continue_work() (work.h).
///
/// Errors: invalid_input (times; a dependency that does not exist, or expires before this task's deadline), conflict
/// (another definition; a group of another schedulerId; a sealed group).
Result<const state::Task*> create(state::Transaction& tx, TaskId id, const wire::TaskDefinition& definition,
                                  Start start = Start::when_ready, std::span<const DependencyFacts> facts = {});

}  // namespace gantry::queue
