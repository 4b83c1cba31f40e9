// Requests to throw caches away: workers ask for them before they use a cache (taskcluster.md 2.10).
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::index {

/// How long workers are told of a request. A worker asks before each task, so one that sleeps longer has idle caches
/// only.
inline constexpr Duration purge_term = hours(24);
inline constexpr std::size_t cache_name_bytes_max = 1024;
/// All of them are in memory.
inline constexpr std::size_t purge_requests_max = 20'000;

/// What was in the cache until now is not to be used any more. Errors: invalid_input, unavailable if there are too many
/// requests.
Result<void> purge_cache(state::Transaction& tx, const std::string& task_queue, const std::string& cache);

/// The requests of one task queue that have not expired, made at `since` or later, in order of cache name.
std::vector<state::PurgeRequest> purge_requests(const state::State& state, const std::string& task_queue, Time since,
                                                Time now);
/// Of all task queues, in order of key: up to `limit` after `after` (empty: from the first).
std::vector<state::PurgeRequest> all_purge_requests(const state::State& state, const std::string& after,
                                                    std::size_t limit, Time now);

/// Erases some of the requests that have expired; true if there are more.
bool expire_purge_requests(state::Transaction& tx);

}  // namespace gantry::index
