// Pages of lists (taskcluster.md 2.7): `limit` and an opaque `continuationToken`. A page may be short; only a missing
// token says that it was the last.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "server/api/router.h"

namespace gantry::server {

inline constexpr std::size_t page_limit_max = 1000;
/// A page ends early once its body has so many bytes.
inline constexpr std::size_t page_bytes_max = 8u << 20;

/// The query keys of a route that answers in pages.
inline std::vector<std::string> page_keys() { return {"limit", "continuationToken"}; }

/// `limit`: page_limit_max if it is missing or larger. Throws Error(invalid_input) unless it is a number from 1 on.
std::size_t page_limit(const Call& call);

/// A token from which the same list can be continued after `position`, any text.
std::string page_token(std::string_view position);
/// The position that the request's token stands for; empty if it has none. Throws Error(invalid_input) if the token is
/// not one of ours.
std::string page_position(const Call& call);
/// The same where the position is a number; 0 if there is no token.
std::uint64_t page_number(const Call& call);

/// The error for a token whose position makes no sense for its list.
Error bad_page_token();

}  // namespace gantry::server
