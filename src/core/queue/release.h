// Tasks wait for others and are released by their ends. The one place that changes Task::waits.
#pragma once

#include "core/state/transaction.h"

namespace gantry::queue {

/// Makes an unscheduled task pending: it waits for nothing any more.
void make_pending(state::Transaction& tx, TaskId task);

/// Tells the dependents of a task that has just been resolved; those whose last open dependency it was become pending,
/// unless their deadline has passed. What does not fit into the transaction is left to a Work{release}, for which the
/// caller keeps room of one record.
void release_dependents(state::Transaction& tx, TaskId task, bool completed);

/// A step of a Work{release}; true if it is finished.
bool continue_release(state::Transaction& tx, state::Work& work);

}  // namespace gantry::queue
