// Short-lived URLs by which anyone who has one may do one thing to one object: up- or download without a Hawk
// signature. The query says until when; the signature covers method, object and time. Never write such a query to a
// log.
//
// Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/error.h"
#include "base/time.h"

namespace gantry::auth {

inline constexpr Duration signed_url_life_max = minutes(45);

/// "expires=<seconds since 1970>&signature=<base64url>". `expires` is rounded down to seconds; more than
/// signed_url_life_max ahead is refused when the URL is used. `method` is in upper case and has no line break.
std::string signed_url_query(std::string_view method, std::string_view object, Time expires, const HmacSha256Key& key);

/// That `query` (without '?') allows `method` on `object`. A URL that was never right is not_authorized, one that was
/// is expired. The query must be exactly as it was given out.
Result<void> check_signed_url(std::string_view method, std::string_view object, std::string_view query, Time now,
                              const HmacSha256Key& key);

}  // namespace gantry::auth
