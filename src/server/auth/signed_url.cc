#include "server/auth/signed_url.h"

#include <charconv>

#include <fmt/format.h>

#include "base/base64.h"

namespace gantry::auth {
namespace {

constexpr std::string_view expires_key = "expires=";
constexpr std::string_view signature_key = "&signature=";
constexpr std::size_t seconds_digits_max = 12;
/// By how much the clocks of two servers behind one address may differ.
constexpr Duration server_clock_tolerance = minutes(1);

std::string signature_of(std::string_view method, std::string_view object, std::string_view expires,
                         const HmacSha256Key& key) {
  // The object's name comes last: it is the only part that may hold a line break.
  return base64url_encode(as_text(key.mac({"gantry.1.object\n", method, "\n", expires, "\n", object})));
}

Error refused(std::string message) {
  return Error(ErrorCode::not_authorized, std::move(message),
               "use the URL exactly as it was given out, or ask for a new one");
}

}  // namespace

std::string signed_url_query(std::string_view method, std::string_view object, Time expires, const HmacSha256Key& key) {
  auto seconds_text = std::to_string(std::chrono::floor<seconds>(expires).time_since_epoch().count());
  return fmt::format("{}{}{}{}", expires_key, seconds_text, signature_key,
                     signature_of(method, object, seconds_text, key));
}

Result<void> check_signed_url(std::string_view method, std::string_view object, std::string_view query, Time now,
                              const HmacSha256Key& key) {
  auto split = query.find(signature_key);
  if (!query.starts_with(expires_key) || split == std::string_view::npos) return refused("the URL is not signed");
  auto expires_text = query.substr(expires_key.size(), split - expires_key.size());
  auto signature = query.substr(split + signature_key.size());
  std::int64_t expires_seconds = 0;
  auto [end, error] = std::from_chars(expires_text.data(), expires_text.data() + expires_text.size(), expires_seconds);
  if (error != std::errc() || end != expires_text.data() + expires_text.size() ||
      expires_text.size() > seconds_digits_max) {
    return refused("the signed URL's expiry is not a number of seconds since 1970");
  }
  if (!constant_time_equal(signature_of(method, object, expires_text, key), signature)) {
    return refused("the URL's signature is wrong for this method and object");
  }
  Time expires = time_from_ms(expires_seconds * 1000);
  if (expires <= now) {
    return Error(ErrorCode::expired, fmt::format("the signed URL expired {} ago", format_duration(now - expires)),
                 "ask for a new one; a signed URL is for at most 45 minutes");
  }
  if (expires > now + signed_url_life_max + server_clock_tolerance) {
    return refused("the signed URL is for longer than the 45 minutes allowed");
  }
  return success();
}

}  // namespace gantry::auth
