// Join tokens of strangers: none is believed that was not made here; one that was signed, whatever is in it, is refused
// or keeps its bounds.
#include <cstddef>
#include <cstdint>

#include "base/base64.h"
#include "core/grid/limits.h"
#include "server/auth/join_token.h"

namespace gantry::auth {
namespace {

const HmacSha256Key key("fuzz");
const Time now = time_from_ms(1'795'132'800'000);
constexpr std::string_view prefix = "gantry-join.";

void refuse(std::string_view token) {
  auto grant = check_join_token(key, token, now);
  static const std::string refusal = check_join_token(key, "", now).error().message();
  GANTRY_ASSERT(!grant && grant.error().code() == ErrorCode::not_authenticated && grant.error().message() == refusal);
}

/// Whose key was stolen may write any contents.
void try_contents(std::string_view contents) {
  std::string token = std::string(prefix) + base64url_encode(contents);
  refuse(token + "." + base64url_encode(contents));
  token += "." + base64url_encode(as_text(key.mac(token)));
  auto grant = check_join_token(key, token, now);
  if (!grant) return;
  GANTRY_ASSERT(grant.value().expires > now && grant.value().uses_max >= 0);
  GANTRY_ASSERT(grant.value().uses_max <= grid::join_uses_max);
  auto again = check_join_token(key, make_join_token(key, grant.value()), now);
  GANTRY_ASSERT(again && again.value().id == grant.value().id && again.value().task_queue == grant.value().task_queue);
  GANTRY_ASSERT(again.value().expires == grant.value().expires && again.value().uses_max == grant.value().uses_max);
  token.back() = token.back() == 'A' ? 'E' : 'A';
  refuse(token);
}

}  // namespace
}  // namespace gantry::auth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::auth;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  refuse(text);
  refuse(std::string(prefix) + std::string(text));
  try_contents(text);
  return 0;
}
