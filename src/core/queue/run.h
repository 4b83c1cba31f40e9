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
/// reason is one that is retried and retries are left, appends a pending run. If it does not run again, releases those
/// that wait for it, as far as there is room, and says so if it was the last of its group. The last run must not be
/// resolved.
void end_run(state::Transaction& tx, TaskId id, state::TaskState outcome, state::ReasonResolved reason,
             const state::ExitReport& exit);

/// Room that end_run needs in a transaction: the task, its allocation, and work for what does not fit.
inline constexpr std::size_t end_run_operations = 3;

}  // namespace gantry::queue
