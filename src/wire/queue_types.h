// The words of the queue that server, agents and clients share, with their spelling in JSON (taskcluster.md 2.4, 2.5).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gantry::wire {

/// Ordered: a higher value is claimed first.
enum class Priority : std::uint8_t { lowest, very_low, low, medium, high, very_high, highest };
inline constexpr int priority_count = 7;

/// The state of a task is that of its last run; without runs it is unscheduled.
enum class TaskState : std::uint8_t { unscheduled, pending, running, completed, failed, exception };

inline bool is_resolved(TaskState state) { return state >= TaskState::completed; }

/// Why a run was made.
enum class ReasonCreated : std::uint8_t { scheduled, retry, task_retry, rerun, exception };

/// Why a run ended; `none` while it has not.
enum class ReasonResolved : std::uint8_t {
  none,
  completed,
  failed,
  deadline_exceeded,
  canceled,
  superseded,
  claim_expired,
  worker_shutdown,
  malformed_payload,
  resource_unavailable,
  internal_error,
  intermittent_task,
};

enum class StorageType : std::uint8_t { s3, object, reference, link, error };

std::string_view name_of(Priority priority);
std::string_view name_of(TaskState state);
std::string_view name_of(ReasonCreated reason);
std::string_view name_of(ReasonResolved reason);
std::string_view name_of(StorageType type);

/// `normal` is an old name of `lowest`.
std::optional<Priority> parse_priority(std::string_view text);
std::optional<TaskState> parse_task_state(std::string_view text);
std::optional<ReasonCreated> parse_reason_created(std::string_view text);
std::optional<ReasonResolved> parse_reason_resolved(std::string_view text);
std::optional<StorageType> parse_storage_type(std::string_view text);

}  // namespace gantry::wire
