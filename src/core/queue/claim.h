// Workers take tasks: claim, reclaim, and the undoing of a claim whose answer could not be delivered.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::queue {

struct ClaimRequest {
  std::string task_queue;
  std::string worker_group;
  std::string worker_id;
  int tasks_max = 1;
  NodeId node;  // a native node, whose ledger then bounds the claim; empty for a foreign worker
};

struct Claim {
  TaskId task;
  int run = 0;
  std::uint64_t sequence = 0;  // of the task: where its definition is
  Time taken_until;
};

/// Takes up to `tasks_max` (at most claim_tasks_max) pending runs, highest priority first, then oldest. A native node
/// gets only what fits into its slots and memory. The first task that does not fit now ends the claim, so that large
/// tasks are not starved by small ones; tasks larger than the whole node are passed over. Every claim writes an
/// allocation. May be empty.
std::vector<Claim> claim(state::Transaction& tx, const ClaimRequest& request);

/// Whether this worker (a native node, or an empty id) would get a task now.
bool can_claim(const state::State& state, const std::string& task_queue, NodeId node);

/// Extends the claim by claim_term from now. Errors: not_found, conflict (the run is not running).
Result<Time> reclaim(state::Transaction& tx, TaskId task, int run);

/// Makes the run pending again as if it had not been claimed, unless it has moved on since. Costs no retry.
void unclaim(state::Transaction& tx, const Claim& claim, const std::string& worker_group, const std::string& worker_id);

}  // namespace gantry::queue
