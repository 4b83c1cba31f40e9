#include "server/auth/identity.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/text.h"
#include "wire/hawk.h"

namespace gantry::auth {
namespace {

Error lacks(const Identity& identity, const std::string& missing) {
  constexpr std::size_t client_id_shown_max = 200;
  if (identity.anonymous()) {
    return Error(ErrorCode::not_authorized, fmt::format("a request without credentials lacks the scopes: {}", missing),
                 "sign the request with credentials that have them");
  }
  return Error(
      ErrorCode::not_authorized,
      fmt::format("client '{}' lacks the scopes: {}", shorten(identity.client_id, client_id_shown_max), missing),
      "use credentials that have them");
}

}  // namespace

Result<void> Identity::require(std::string_view scope) const {
  if (scopes->covers(scope)) return success();
  return lacks(*this, std::string(scope));
}

Result<void> Identity::require_expression(const access::ScopeExpression& expression) const {
  auto missing = expression.missing_from(*scopes);
  if (!missing) return success();
  return lacks(*this, missing->to_string());
}

Result<void> check_payload_hash(const Identity& identity, std::string_view content_type, std::string_view body) {
  if (identity.payload_hash.empty()) return success();
  if (constant_time_equal(wire::hawk_payload_hash(content_type, body), identity.payload_hash)) return success();
  return Error(ErrorCode::not_authenticated, "the body or its content type is not what the client signed",
               "a proxy must not change either of them");
}

}  // namespace gantry::auth
