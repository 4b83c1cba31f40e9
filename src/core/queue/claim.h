// Workers take tasks: claim, reclaim, and the undoing of a claim whose answer could not be delivered.
//
// Whether a worker is quarantined is the caller's business (worker.h); so is telling worker.h of what was claimed.
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
  NodeId node{};  // a native node, whose ledger then bounds the claim; empty for a foreign worker
  /// At most claim_token_bytes_max bytes. The same worker's claim with the same token gets what it got before, as far
  /// as that still runs, and nothing new: so a lost answer loses nothing. Empty: every claim is a new one.
  std::string token{};
};

struct Claim {
  TaskId task;
  int run = 0;
  std::uint64_t sequence = 0;  // of the task: where its definition is
  Time taken_until;
  /// The worker has it from an earlier request, whose answer may have arrived: it is not for this one to undo.
  bool again = false;
};

/// Takes up to `tasks_max` (at most claim_tasks_max) pending runs, highest priority first, then oldest. A native node
/// gets only what fits into its slots and memory. The first task that does not fit now ends the claim, so that large
/// tasks are not starved by small ones; tasks larger than the whole node are passed over. Every claim writes an
/// allocation. May be empty. Claims that are given again by their token are prolonged as reclaim() does, so that an
/// unclaim() of the first answer does not take them away.
std::vector<Claim> claim(state::Transaction& tx, const ClaimRequest& request);

/// Whether this worker (a native node, or an empty id) would get a task now.
bool can_claim(const state::State& state, const std::string& task_queue, NodeId node);

/// Takes one run that is pending. The same worker again gets the same claim again. The request's queue, token and
/// tasks_max do not matter. Errors: not_found (no such task or run), conflict (its deadline has passed; it is not
/// pending; it does not fit onto the native node now).
Result<Claim> claim_run(state::Transaction& tx, TaskId task, int run, const ClaimRequest& worker);

/// Extends the claim by claim_term from now. Errors: not_found, conflict (the run is not running).
Result<Time> reclaim(state::Transaction& tx, TaskId task, int run);

/// Makes the run pending again as if it had not been claimed, unless it has moved on since. Costs no retry.
void unclaim(state::Transaction& tx, const Claim& claim, const std::string& worker_group, const std::string& worker_id);

}  // namespace gantry::queue
