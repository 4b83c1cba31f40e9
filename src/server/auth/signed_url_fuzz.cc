// Queries of signed URLs as strangers may write them: nothing is allowed but by the query that was given out, for the
// method and the object that it was given out for.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "server/auth/signed_url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  using namespace gantry::auth;
  static const HmacSha256Key key("fuzz");
  static const Time now = time_from_ms(1'795'132'800'000);
  std::string_view text(reinterpret_cast<const char*>(data), size);
  GANTRY_ASSERT(!check_signed_url("GET", "object", text, now, key));
  const std::string good = signed_url_query("GET", text, now + minutes(1), key);
  GANTRY_ASSERT(check_signed_url("GET", text, good, now, key));
  GANTRY_ASSERT(!check_signed_url("PUT", text, good, now, key));
  GANTRY_ASSERT(!check_signed_url("GET", text, good, now + minutes(2), key));
  if (text.empty()) return 0;
  GANTRY_ASSERT(!check_signed_url("GET", text.substr(1), good, now, key));
  GANTRY_ASSERT(!check_signed_url("GET", text, good + std::string(text), now, key));
  // One byte of it replaced.
  std::string changed = good;
  char& byte = changed[data[0] % changed.size()];
  bool same = byte == text.back();
  byte = text.back();
  GANTRY_ASSERT(same || !check_signed_url("GET", text, changed, now, key));
  return 0;
}
