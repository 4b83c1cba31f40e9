// Workers and task queues as people look at them; quarantine.
//
// A worker's record is written when it is new, at most once a minute while it claims tasks, and when its quarantine
// changes. What it claimed in between is in State::activity, which has no rows: a crash loses the last minute of it, a
// commit that failed leaves a claim in it that was not. current() joins both.
#pragma once

#include <span>
#include <string>

#include "base/error.h"
#include "core/queue/claim.h"
#include "core/state/transaction.h"

namespace gantry::queue {

struct WorkerName {
  std::string task_queue;
  std::string group;
  std::string id;
};

/// To be called with each claimWork or claimTask that was allowed, whatever it got.
void note_activity(state::Transaction& tx, const WorkerName& worker, std::span<const Claim> claims);

/// The record together with what has not been written of it yet.
state::Worker current(const state::State& state, const state::Worker& worker);

/// Errors: not_found. The answer is as current() says.
Result<state::Worker> find_worker(state::Transaction& tx, const WorkerName& worker);

bool is_quarantined(const state::State& state, const WorkerName& worker, Time now);

/// It gets no tasks before `until`; a time that has passed ends a quarantine. Errors: not_found.
Result<state::Worker> quarantine(state::Transaction& tx, const WorkerName& worker, Time until, std::string info,
                                 std::string client_id);

/// Makes a worker known that has not claimed yet, or prolongs what is known of it. Errors: invalid_input (`expires` has
/// passed).
Result<state::Worker> declare_worker(state::Transaction& tx, const WorkerName& worker, Time expires);

/// Notes that the queue is in use; writes at most once a day.
void touch_queue(state::Transaction& tx, const std::string& task_queue);

}  // namespace gantry::queue
