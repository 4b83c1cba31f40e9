// What claim, resolve, cancel and the timers share: finding a run and ending it. The one place that ends runs.
#pragma once

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::queue {

/// The task, or not_found.
Result<const state::Task*> find_task(state::Transaction& tx, TaskId id);
/// The task if it has that run, else not_found.
Result<const state::Task*> find_run(state::Transaction& tx, TaskId id, int run);

/// Ends the task's last run (an unscheduled task gets one that is ended already), frees its allocation and, if the
/// reason is one that is retried and retries are left, appends a pending run. The last run must not be resolved.
void end_run(state::Transaction& tx, TaskId id, state::TaskState outcome, state::ReasonResolved reason,
             const state::ExitReport& exit);

/// Room that end_run needs in a transaction: the task and its allocation.
inline constexpr std::size_t end_run_operations = 2;

}  // namespace gantry::queue
