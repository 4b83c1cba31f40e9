// The bounds of net/ that nobody has to set; the ones an operator may set are ServerLimits (net/http_server.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace gantry::net {

/// What one read of a body returns at most, and what one connection holds at most of bytes nobody has asked for yet.
inline constexpr std::size_t read_piece_bytes_max = 64 * 1024;
/// The receive buffer a connection starts with and goes back to when it is idle.
inline constexpr std::size_t input_bytes_initial = 4 * 1024;
/// A body up to this size is copied behind its header and sent with it; a larger one is sent from where it is.
inline constexpr std::size_t joined_body_bytes_max = 16 * 1024;
/// A send buffer that has grown past this is given back after the message.
inline constexpr std::size_t output_bytes_kept_max = 64 * 1024;

/// How much of a request's body that its handler did not want is read away to keep the connection.
inline constexpr std::size_t drain_bytes_max = 64 * 1024;
/// Before a connection with unread bytes is closed, that much more is read away, so that the answer is not lost to a
/// reset.
inline constexpr std::size_t linger_bytes_max = 1024 * 1024;
inline constexpr Duration linger_timeout = seconds(2);

/// Requests or pieces one connection may be served in a row before every other ready connection has its turn.
inline constexpr int turns_in_a_row_max = 16;
/// The sweeper looks at every connection's deadlines this often (more often if a limit is shorter).
inline constexpr Duration sweep_period_max = seconds(1);
inline constexpr Duration sweep_period_min = milliseconds(10);
/// The pause after an accept that failed for want of file descriptors or memory.
inline constexpr Duration accept_pause = milliseconds(100);

inline constexpr std::size_t response_header_bytes_max = 64 * 1024;
/// 1xx answers a client reads over before the one that counts.
inline constexpr int interim_responses_max = 8;
/// Addresses of one name that are tried before a connect has failed.
inline constexpr std::size_t addresses_max = 8;
inline constexpr Duration idle_connection_lifetime = seconds(50);
/// How much of a refused upgrade's answer goes into the error.
inline constexpr std::size_t refusal_bytes_max = 16 * 1024;
inline constexpr std::size_t refusal_shown_max = 300;

inline constexpr Duration amqp_connect_timeout = seconds(5);
inline constexpr Duration amqp_handshake_timeout = seconds(10);
inline constexpr int amqp_heartbeat_seconds = 20;
/// A longer message of a broker ends the connection.
inline constexpr std::uint64_t amqp_message_bytes_max = 4u << 20;

}  // namespace gantry::net
