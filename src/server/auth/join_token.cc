#include "server/auth/join_token.h"

#include <fmt/format.h>

#include "base/base64.h"
#include "base/json.h"
#include "core/grid/limits.h"

namespace gantry::auth {
namespace {

constexpr std::string_view prefix = "gantry-join.";
constexpr std::string_view new_one_hint = "make a new one on the server: gantry node token";

Error refused() {
  return Error(ErrorCode::not_authenticated, "the join token is not one of this server's", std::string(new_one_hint));
}

}  // namespace

std::string make_join_token(const HmacSha256Key& key, const JoinGrant& grant) {
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("pool", grant.task_queue).field("expires", grant.expires).field("seed", grant.id);
  if (grant.uses_max > 0) out.field("uses", grant.uses_max);
  out.end_object();
  std::string token(prefix);
  append_base64url(token, text);
  Sha256Digest mac = key.mac(token);
  token += '.';
  append_base64url(token, as_text(mac));
  return token;
}

Result<JoinGrant> check_join_token(const HmacSha256Key& key, std::string_view token, Time now) {
  auto dot = token.rfind('.');
  if (!token.starts_with(prefix) || dot < prefix.size()) return refused();
  auto mac = base64url_decode(token.substr(dot + 1));
  Sha256Digest expected = key.mac(token.substr(0, dot));
  if (!mac || !constant_time_equal(*mac, as_text(expected))) return refused();
  auto text = base64url_decode(token.substr(prefix.size(), dot - prefix.size()));
  if (!text) return refused();
  auto document = parse_json(*text);
  if (!document) return refused();
  ObjectReader reader(document.value(), "token");
  JoinGrant grant;
  grant.id = reader.required_text("seed", {});
  grant.task_queue = reader.required_text("pool", {});
  auto expires = reader.time("expires");
  grant.uses_max = static_cast<int>(reader.integer("uses", 1, grid::join_uses_max, 0));
  if (!reader.finish() || !expires) return refused();
  grant.expires = *expires;
  if (grant.expires <= now) {
    return Error(ErrorCode::not_authenticated,
                 fmt::format("the join token expired {} ago", format_duration(now - grant.expires)),
                 std::string(new_one_hint));
  }
  return grant;
}

}  // namespace gantry::auth
