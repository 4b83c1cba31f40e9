// What the files of the auth service share.
#include "server/api/auth_service.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "core/access/limits.h"
#include "server/api/answers.h"

namespace gantry::server {

void append_scopes(JsonWriter& out, std::string_view key, const std::vector<std::string>& scopes) {
  out.key(key).begin_array();
  for (const std::string& scope : scopes) out.string(scope);
  out.end_array();
}

void begin_client(JsonWriter& out, const state::Client& client, const access::RoleResolver& roles) {
  out.begin_object().field("clientId", client.id).field("description", client.description);
  out.field("expires", client.expires).field("created", client.created).field("lastModified", client.modified);
  out.field("lastDateUsed", client.last_used).field("lastRotated", client.rotated);
  out.field("deleteOnExpiration", client.delete_on_expiration).field("disabled", client.disabled);
  append_scopes(out, "scopes", client.scopes);
  append_scopes(out, "expandedScopes", roles.expand(client.scopes).scopes.scopes());
}

void append_role(JsonWriter& out, const state::Role& role, const access::RoleResolver& roles) {
  out.begin_object().field("roleId", role.id).field("description", role.description);
  out.field("created", role.created).field("lastModified", role.modified);
  append_scopes(out, "scopes", role.scopes);
  append_scopes(out, "expandedScopes", roles.expand_role(role.id).scopes.scopes());
  out.end_object();
}

std::vector<std::string> read_scopes(ObjectReader& reader, std::string_view key) {
  std::vector<std::string> scopes;
  const json::array* array = reader.array(key, access::scopes_per_record_max);
  for (std::size_t i = 0; array && i < array->size(); ++i) {
    const json::string* text = (*array)[i].if_string();
    if (!text) {
      reader.fail(key, "must be an array of strings");
      break;
    }
    if (text->size() > access::scope_bytes_max || !access::is_valid_scope(*text)) {
      reader.fail(key, "has an element that is not a scope", "a scope is printable ASCII, 4096 characters at most");
      break;
    }
    scopes.emplace_back(*text);
  }
  std::vector<std::string_view> sorted(scopes.begin(), scopes.end());
  std::ranges::sort(sorted);
  auto twice = std::ranges::adjacent_find(sorted);
  if (twice != sorted.end()) reader.fail(key, fmt::format("\"{}\" is there twice", shorten(*twice, 80)));
  return scopes;
}

void add_auth_routes(Router& router, Services& services) {
  add_client_routes(router, services);
  add_role_routes(router, services);
  add_scope_routes(router, services);
}

}  // namespace gantry::server
