// Roles: made, changed, listed. A role id may stand in a path with its slashes or with %2F.
#include <algorithm>

#include <fmt/format.h>

#include "core/access/limits.h"
#include "core/access/role_changes.h"
#include "server/api/answers.h"
#include "server/api/auth_service.h"
#include "server/api/pages.h"

namespace gantry::server {
namespace {

using state::Role;

constexpr std::size_t whole_list_bytes_max = 32 * 1024 * 1024;

Async<access::RoleRequest> read_request(Call& call) {
  json::value body = value_or_throw(parse_json(co_await json_body(call, access_body_bytes_max)));
  ObjectReader reader(body, "");
  access::RoleRequest request;
  request.description = reader.required_text("description", {.characters_max = access::description_bytes_max});
  reader.require("scopes");
  request.scopes = read_scopes(reader, "scopes");
  value_or_throw(reader.finish());
  co_return request;
}

Async<net::Response> finish(Services& services, state::Transaction& tx, Result<const Role*> role) {
  std::string answer;
  JsonWriter out(answer);
  if (role) append_role(out, *role.value(), services.authenticator.roles());
  std::uint64_t version = services.commits.stage(tx, role.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(role));
  co_return json_response(std::move(answer));
}

Async<net::Response> create_role(Services& services, Call& call) {
  std::string id = call.parameter("roleId");
  value_or_throw(access::check_role_id(id));
  access::RoleRequest request = co_await read_request(call);
  call.require_expression(access::needed_to_create(id, request));
  auto tx = services.commits.begin();
  co_return co_await finish(services, tx, access::create_role(tx, id, request));
}

Async<net::Response> update_role(Services& services, Call& call) {
  std::string id = call.parameter("roleId");
  access::RoleRequest request = co_await read_request(call);
  const access::RoleResolver& roles = services.authenticator.roles();
  auto tx = services.commits.begin();
  auto needed = access::needed_to_update(tx, id, request, roles);
  if (!needed) {
    call.require(fmt::format("auth:update-role:{}", id));  // whether there is one is not for everybody
    co_return co_await finish(services, tx, needed.error());
  }
  call.require_expression(needed.value());
  co_return co_await finish(services, tx, access::update_role(tx, id, request));
}

Async<net::Response> delete_role(Services& services, Call& call) {
  std::string id = call.parameter("roleId");
  call.require(fmt::format("auth:delete-role:{}", id));
  auto tx = services.commits.begin();
  access::delete_role(tx, id);
  co_await services.commits.settled(services.commits.stage(tx));
  co_return json_response("{}");
}

Async<net::Response> get_role(Services& services, Call& call) {
  std::string id = call.parameter("roleId");
  call.require(fmt::format("auth:get-role:{}", id));
  auto tx = services.commits.begin();
  co_return co_await finish(services, tx, access::find_role(tx, id));
}

/// All roles after this id, in order.
std::vector<const Role*> roles_after(const state::State& state, const std::string& after) {
  std::vector<const Role*> roles;
  state.table<Role>().for_each([&](const Role& role) {
    if (after.empty() || role.id > after) roles.push_back(&role);
  });
  std::ranges::sort(roles, {}, [](const Role* role) -> const std::string& { return role->id; });
  return roles;
}

Async<net::Response> list_all(Services& services, Call& call) {
  call.require("auth:list-roles");
  const state::State& state = services.commits.state();
  std::string body;
  JsonWriter out(body);
  out.begin_array();
  for (const Role* role : roles_after(state, {})) {
    append_role(out, *role, services.authenticator.roles());
    if (body.size() > whole_list_bytes_max) {
      throw Error(ErrorCode::too_large, "there are too many roles for one answer",
                  "list them in pages, with listRoles2 or listRoleIds");
    }
  }
  out.end_array();
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

/// A page of roles under `key`, each written by `append`.
template <class Append>
std::string page_of(const state::State& state, const Call& call, std::string_view key, Append append) {
  std::size_t limit = page_limit(call);
  std::vector<const Role*> roles = roles_after(state, page_position(call));
  std::size_t count = std::min(roles.size(), limit);
  std::string body;
  JsonWriter out(body);
  out.begin_object().key(key).begin_array();
  std::size_t shown = 0;
  for (; shown < count && body.size() < access_page_bytes_max; ++shown) append(out, *roles[shown]);
  out.end_array();
  if (shown > 0 && shown < roles.size()) out.field("continuationToken", page_token(roles[shown - 1]->id));
  out.end_object();
  return body;
}

Async<net::Response> list_pages(Services& services, Call& call) {
  call.require("auth:list-roles");
  const state::State& state = services.commits.state();
  const access::RoleResolver& roles = services.authenticator.roles();
  std::string body =
      page_of(state, call, "roles", [&](JsonWriter& out, const Role& role) { append_role(out, role, roles); });
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

Async<net::Response> list_ids(Services& services, Call& call) {
  call.require("auth:list-roles");
  const state::State& state = services.commits.state();
  std::string body = page_of(state, call, "roleIds", [](JsonWriter& out, const Role& role) { out.string(role.id); });
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

}  // namespace

void add_role_routes(Router& router, Services& services) {
  auto add = [&](net::Method method, const char* path, const char* name, Handler handler,
                 std::vector<std::string> query = {}) {
    router.add({method, std::string("/api/auth/v1") + path, name, Dialect::taskcluster, Bind{services}(handler), true,
                std::move(query)});
  };
  using enum net::Method;
  add(get, "/roles/", "listRoles", list_all);
  add(get, "/roles2/", "listRoles2", list_pages, {"continuationToken", "limit"});
  add(get, "/roleids/", "listRoleIds", list_ids, {"continuationToken", "limit"});
  add(get, "/roles/*roleId", "role", get_role);
  add(put, "/roles/*roleId", "createRole", create_role);
  add(post, "/roles/*roleId", "updateRole", update_role);
  add(delete_, "/roles/*roleId", "deleteRole", delete_role);
}

}  // namespace gantry::server
