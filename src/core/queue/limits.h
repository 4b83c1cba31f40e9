// The queue's terms and bounds (taskcluster.md 2.3-2.6).
#pragma once

#include <cstddef>

#include "base/time.h"

namespace gantry::queue {

/// How long a claim or reclaim holds a run.
inline constexpr Duration claim_term = minutes(20);
/// A native node that has not polled for this long has lost its runs.
inline constexpr Duration node_term = seconds(15);
/// How far a definition's `created` may be from the server's clock.
inline constexpr Duration created_skew_max = minutes(15);
/// How long after an exception the worker may still add artifacts (its logs).
inline constexpr Duration late_artifact_term = minutes(25);

inline constexpr int claim_tasks_max = 32;
/// How many tasks that are too large for a node a claim passes over.
inline constexpr int oversized_visits_max = 1000;
inline constexpr int runs_max = 50;
inline constexpr std::size_t artifacts_per_task_max = 10'000;
inline constexpr std::size_t artifact_name_bytes_max = 1024;

}  // namespace gantry::queue
