// The bounds of clients, roles and secrets. All clients and roles are in memory.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace gantry::access {

inline constexpr std::size_t id_bytes_max = 1024;  // of a client or role
inline constexpr std::size_t description_bytes_max = 10 * 1024;
inline constexpr std::size_t scope_bytes_max = 4096;
/// Of one client or role, so that its record fits a transaction.
inline constexpr std::size_t scopes_per_record_max = 10'000;
inline constexpr std::size_t scopes_per_record_bytes_max = 256 * 1024;
inline constexpr std::size_t clients_max = 100'000;
inline constexpr std::size_t roles_max = 10'000;

/// What roles may make of one set of scopes. Past these an expansion stops: it grants what it has found so far.
inline constexpr std::size_t expanded_scopes_max = 20'000;
inline constexpr std::size_t expanded_bytes_max = 8 * 1024 * 1024;
/// Scopes of matching roles looked at, repeated ones included.
inline constexpr std::size_t expansion_steps_max = 1'000'000;

inline constexpr std::size_t secret_name_bytes_max = 1024;
/// Of a secret's JSON.
inline constexpr std::size_t secret_bytes_max = 64 * 1024;

/// A repeated createClient is the same request as long as this; later it is a conflict.
inline constexpr Duration create_repeat_max = minutes(15);
/// By how much Client::last_used may be behind.
inline constexpr Duration last_used_precision = hours(6);
/// Records that one step of the expiry touches.
inline constexpr std::size_t expiry_step_max = 50;

}  // namespace gantry::access
