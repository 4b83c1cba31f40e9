// Records go when they expire. Finding them is the server's part; what may go, and with what, is decided here.
#pragma once

#include <span>

#include "core/state/transaction.h"

namespace gantry::queue {

enum class Expiry {
  done,     // it is gone (or was not there)
  more,     // a step was done; call again with a new transaction and the rows that are left
  not_yet,  // it has not expired, or is still needed; nothing was changed
};

/// Erases a task that is resolved and has expired: its record, its definition, its artifacts, its row in its group, and
/// `dependent_rows`, all rows of table dependent under its sequence. In memory before the call: the task, all of its
/// artifacts, and the record Group of its group, if there is one.
Expiry expire_task(state::Transaction& tx, TaskId task, std::span<const state::Key> dependent_rows);

/// Erases an artifact that has expired. It must be in memory.
Expiry expire_artifact(state::Transaction& tx, const state::ArtifactId& artifact);

/// Erases the record of a group that has expired and has no task any more. It must be in memory.
Expiry expire_group(state::Transaction& tx, TaskGroupId group);

/// Erase workers and task queues that have expired, up to a transaction's room; true if there may be more. Visits all.
bool expire_workers(state::Transaction& tx);
bool expire_task_queues(state::Transaction& tx);

}  // namespace gantry::queue
