// Join tokens: whoever has one may make a machine a node of one pool, until the token expires. A token is its pool and
// its end, signed with a key of the server's, so it is checked without any record of it: it cannot be taken back before
// it expires, except by a change of the server's root credentials.
//
// Pure. Errors are not_authenticated and never repeat the token.
#pragma once

#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/error.h"
#include "base/time.h"

namespace gantry::auth {

struct JoinGrant {
  std::string task_queue;  // the pool
  Time expires;
};

/// `seed` makes two tokens for the same differ; of [A-Za-z0-9_-].
std::string make_join_token(const HmacSha256Key& key, const JoinGrant& grant, std::string_view seed);

/// What the token grants at `now`. The signature is compared in constant time, before anything is read.
Result<JoinGrant> check_join_token(const HmacSha256Key& key, std::string_view token, Time now);

}  // namespace gantry::auth
