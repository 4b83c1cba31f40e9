// Join tokens: whoever has one may make a machine a node of one pool, until the token expires, or has been used as
// often as it may be. A token is its pool, its end and its uses, signed with a key of the server's, so that there is no
// record of it before a limited one is used (core/grid/join.h): it cannot be taken back before it expires, except by a
// change of the server's root credentials.
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
  std::string id;          // makes two tokens for the same differ; of [A-Za-z0-9_-]
  std::string task_queue;  // the pool
  Time expires;
  int uses_max = 0;  // 0: any number
};

std::string make_join_token(const HmacSha256Key& key, const JoinGrant& grant);

/// What the token grants at `now`. The signature is compared in constant time, before anything is read.
Result<JoinGrant> check_join_token(const HmacSha256Key& key, std::string_view token, Time now);

}  // namespace gantry::auth
