// Bounds and waits of the agent.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace gantry::agent {

inline constexpr Duration request_timeout = seconds(30);
inline constexpr Duration long_poll_timeout = seconds(40);  // the server answers within 20 s
inline constexpr Duration retry_delay_min = milliseconds(200);
inline constexpr Duration retry_delay_max = seconds(5);
/// How long a result is offered to a server that does not answer; by then the claim is long gone.
inline constexpr Duration report_patience = minutes(45);
inline constexpr Duration engine_check_interval = seconds(30);
/// How long running tasks wait for an engine that went away before they are handed back.
inline constexpr Duration engine_patience = seconds(60);
/// And for one that neither answers nor breaks its connections.
inline constexpr Duration engine_silence_max = minutes(5);
inline constexpr Duration stop_patience = seconds(10);

inline constexpr std::size_t log_piece_bytes_max = 1u << 20;  // of one append
inline constexpr std::int64_t upload_bytes_per_s_min = 256 * 1024;
inline constexpr int claim_tasks_max = 32;

/// For the last words of a run that is no longer ours.
inline constexpr Duration last_words_timeout = seconds(5);

// With the queue of a foreign Taskcluster.
inline constexpr Duration foreign_claim_gap = seconds(5);         // between two claims that got nothing
inline constexpr Duration foreign_poll_pause = seconds(20);       // there is no poll
inline constexpr Duration log_look_interval = milliseconds(200);  // a live log's reader looks for more
inline constexpr Duration log_drain_patience = seconds(5);        // for readers of a live log that has ended
inline constexpr int log_readers_max = 64;                        // of all live logs together

inline constexpr Duration pulse_retry_min = seconds(1);
inline constexpr Duration pulse_retry_max = seconds(30);

}  // namespace gantry::agent
