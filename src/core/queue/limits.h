// The queue's terms and bounds (taskcluster.md 2.3-2.6).
#pragma once

#include <cstddef>

#include "base/time.h"
#include "core/state/records.h"
#include "core/state/state.h"
#include "wire/task_definition.h"

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
inline constexpr std::size_t claim_token_bytes_max = 64;
using state::runs_max;
inline constexpr std::size_t dependencies_max = wire::dependencies_max;
/// Records that every step of larger work leaves free, to be recorded itself.
inline constexpr std::size_t work_operations = 2;
/// How many records one step looks at, whether it changes them or not.
inline constexpr std::size_t work_visits_max = 20'000;
/// Tasks that get a priority of their own while that of their group is being changed.
inline constexpr std::size_t spared_tasks_max = 1'000;
/// Links to dependencies that one Work{link} carries.
inline constexpr std::size_t links_per_work = 1000;
/// How many of those that wait for a task are asked for their priority when it is run again.
inline constexpr std::size_t pulling_dependents_max = 10'000;
/// How deep one step follows dependencies; the rest is work of its own.
inline constexpr std::size_t pull_depth_max = 16;

inline constexpr std::size_t recent_tasks_max = state::recent_tasks_max;
/// A worker that claims tasks is written at most this often, one that gets none at most every half of its term.
inline constexpr Duration worker_write_interval = minutes(1);
inline constexpr Duration worker_term = hours(24);
inline constexpr Duration task_queue_write_interval = hours(24);
inline constexpr Duration task_queue_term = hours(5 * 24);
inline constexpr std::size_t quarantine_changes_max = 100;

inline constexpr std::size_t explain_dependencies_max = 100;
inline constexpr std::size_t explain_claimers_max = 100;
inline constexpr std::size_t artifacts_per_task_max = 10'000;
inline constexpr std::size_t artifact_name_bytes_max = 1024;

}  // namespace gantry::queue
