// Bounds and waits of the tasks' proxy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace gantry::agent {

inline constexpr int proxy_port = 80;  // the one without which http://taskcluster needs no port
inline constexpr std::size_t proxy_connections_max = 1000;
/// Requests of one task that the server has not answered yet.
inline constexpr int proxy_requests_max = 64;
inline constexpr Duration proxy_idle_timeout = seconds(30);
/// Until the answer's header, and between two pieces of its body; the server's long polls take 20 s.
inline constexpr Duration proxy_answer_timeout = seconds(60);
inline constexpr std::int64_t proxy_body_bytes_max = 64 << 20;
/// A body up to this size is kept, so that the request can be sent again.
inline constexpr std::int64_t proxy_replay_bytes_max = 64 << 10;
inline constexpr int proxy_tries_max = 4;
inline constexpr Duration proxy_retry_delay = milliseconds(200);  // doubled each time
inline constexpr Duration proxy_bewit_life = hours(1);
inline constexpr std::size_t proxy_bewit_url_bytes_max = 8 << 10;
/// A list of scopes that is longer is not told back in a header.
inline constexpr std::size_t proxy_scopes_header_bytes_max = 8 << 10;
inline constexpr Duration proxy_stop_grace = seconds(1);

}  // namespace gantry::agent
