// The bounds of the ways out; what an operator may set is OutboxLimits (server/output/outbox.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace gantry::server {

/// The newest rows of the outbox that are kept in memory, spelt-out messages included.
inline constexpr std::size_t outbox_memory_bytes_max = 4u << 20;
/// Rows that one read of the outbox returns at most.
inline constexpr std::size_t outbox_page_rows = 256;
/// How often the outbox is held against its bounds.
inline constexpr Duration outbox_trim_period = seconds(5);
/// Event numbers that one transaction trims at most.
inline constexpr std::uint64_t outbox_trim_step = 2'000;
/// How many segments its bounds are counted in: so exactly they are kept.
inline constexpr int outbox_segments = 64;
/// After so many bytes the sizes of segments are written again; a crash forgets no more than that of them.
inline constexpr std::int64_t outbox_accounting_bytes = 1 << 20;
/// Many readers are woken less often: each ten cost a millisecond, at most this.
inline constexpr Duration outbox_news_pause_max = milliseconds(100);
inline constexpr std::size_t outbox_readers_per_ms = 10;

/// A silent event stream says that it is alive this often.
inline constexpr Duration event_heartbeat = seconds(15);
/// What an event stream hands to its connection at once; a single event may be larger.
inline constexpr std::size_t event_piece_bytes = 64 * 1024;
/// Values of one filter of an event stream.
inline constexpr std::size_t event_filter_values_max = 100;

/// Rows handed to an output that are not confirmed yet.
inline constexpr std::size_t output_rows_max = 4'000;
inline constexpr std::size_t output_bytes_max = 8u << 20;
/// How often an output's cursor is written at most.
inline constexpr Duration output_cursor_period = seconds(1);

/// Messages sent to the broker and not confirmed; so few bytes that a broker that reads nothing fills no more than the
/// buffers of the system.
inline constexpr std::uint64_t pulse_in_flight_max = 1'000;
inline constexpr std::size_t pulse_in_flight_bytes_max = 512 * 1024;
inline constexpr Duration pulse_retry_min = seconds(1);
inline constexpr Duration pulse_retry_max = seconds(30);
/// A broker that has been sent messages, did not say that it is blocked, and confirms nothing for so long is left.
inline constexpr Duration pulse_confirm_timeout = minutes(2);

}  // namespace gantry::server
