// Unscheduled tasks become pending, resolved ones run again (taskcluster.md 2.5).
#pragma once

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::queue {

/// Makes an unscheduled task pending whatever it waits for; any other is left alone and that is success.
/// Errors: not_found, conflict (its deadline has passed).
Result<const state::Task*> schedule(state::Transaction& tx, TaskId task);

/// Gives a resolved task a new pending run and its retries anew (as many as runs_max leaves); schedules an unscheduled
/// one; leaves a pending or running one alone. Tasks that were released by its earlier outcome stay released.
/// The task must be in memory if it exists. Errors: not_found, conflict (deadline passed; runs_max runs already).
Result<const state::Task*> rerun(state::Transaction& tx, TaskId task);

}  // namespace gantry::queue
