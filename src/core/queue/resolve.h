// Runs end: by report of the worker, by cancellation, by time.
#pragma once

#include <set>

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::queue {

/// What a worker reports. `reason` is completed, failed, or one of the exceptions a worker may report: worker_shutdown,
/// malformed_payload, resource_unavailable, internal_error, intermittent_task, superseded.
struct Report {
  state::ReasonResolved reason = state::ReasonResolved::completed;
  state::ExitReport exit;
};

/// Repeating an equal report changes nothing and succeeds; a contradictory one is a conflict, as is a report of a run
/// that was taken away. Errors: not_found, conflict.
Result<const state::Task*> report(state::Transaction& tx, TaskId task, int run, const Report& report);

/// Ends an unresolved task as canceled; a resolved one is left alone and that is success. Conflict after the deadline.
Result<const state::Task*> cancel(state::Transaction& tx, TaskId task);

/// A step of what time does; true if there may be more to do now. Call again until false.
/// Tasks whose deadline has come end as deadline_exceeded.
bool expire_deadlines(state::Transaction& tx);
/// Runs whose claim has ended are retried (claim_expired). Leases count only while a leader listens: none ends before
/// `listening_since` + claim_term.
bool expire_claims(state::Transaction& tx, Time listening_since);
/// The runs of a native node that is gone are retried (claim_expired).
bool expire_node(state::Transaction& tx, NodeId node);

/// The same for those runs of a node that it does not hold, as it says after a restart.
bool expire_unheld(state::Transaction& tx, NodeId node, const std::set<state::AllocationId>& held);

}  // namespace gantry::queue
