// Bounds and waits of what the agent knows of its machine.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace gantry::agent {

inline constexpr Duration notice_interval = seconds(5);  // between two looks for a notice
inline constexpr Duration idle_tick = seconds(1);
inline constexpr Duration shutdown_command_max = seconds(60);

inline constexpr Duration metadata_timeout = seconds(2);
inline constexpr int metadata_tries_max = 3;
inline constexpr Duration metadata_retry_delay = seconds(1);
inline constexpr Duration metadata_token_life = hours(6);
inline constexpr std::size_t metadata_bytes_max = 64 << 10;  // AWS allows 16 KiB of user data

inline constexpr std::size_t runner_line_bytes_max = 64 << 10;
inline constexpr std::size_t runner_capabilities_max = 64;
/// For the runner's welcome, until it is said that none came.
inline constexpr Duration runner_welcome_max = seconds(30);

}  // namespace gantry::agent
