#include "core/access/role_changes.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "core/access/clients.h"
#include "core/access/limits.h"

namespace gantry::access {
namespace {

using state::Role;

constexpr std::size_t shown_max = 200;

Error no_role(const std::string& id) {
  return Error(ErrorCode::not_found, fmt::format("there is no role \"{}\"", shorten(id, shown_max)));
}

/// The role that a request describes, checked on its own and against the others.
Result<Role> described(state::Transaction& tx, const std::string& id, const RoleRequest& request) {
  TRY(check_role_id(id));
  if (request.description.size() > description_bytes_max) {
    return Error(ErrorCode::invalid_input, fmt::format("description: must be at most {} bytes", description_bytes_max));
  }
  TRY(check_given_scopes(request.scopes));
  Role role;
  role.id = id;
  role.description = request.description;
  role.scopes = request.scopes;
  std::ranges::sort(role.scopes, scope_before);
  role.created = role.modified = tx.now();
  TRY(check_roles(tx.state(), role));
  return role;
}

}  // namespace

Result<void> check_role_id(std::string_view id) {
  if (!id.empty() && id.size() <= id_bytes_max && is_printable_ascii(id)) return success();
  return Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not a role id", shorten(id, shown_max)),
               fmt::format("a role id has 1 to {} printable ASCII characters", id_bytes_max))
      .with_fault(InputFault::arguments);
}

ScopeExpression needed_to_create(std::string_view id, const RoleRequest& request) {
  std::vector<ScopeExpression> needed{fmt::format("auth:create-role:{}", id)};
  needed.insert(needed.end(), request.scopes.begin(), request.scopes.end());
  return ScopeExpression::all_of(std::move(needed));
}

Result<ScopeExpression> needed_to_update(state::Transaction& tx, const std::string& id, const RoleRequest& request,
                                         const RoleResolver& roles) {
  TRY(const Role* role, find_role(tx, id));
  ScopeSet held = roles.expand(role->scopes).scopes;
  std::vector<ScopeExpression> needed{fmt::format("auth:update-role:{}", id)};
  for (const std::string& scope : request.scopes) {
    if (!held.covers(scope)) needed.emplace_back(scope);
  }
  return ScopeExpression::all_of(std::move(needed));
}

Result<const Role*> create_role(state::Transaction& tx, const std::string& id, const RoleRequest& request) {
  TRY(Role role, described(tx, id, request));
  if (const Role* existing = tx.find<Role>(id)) {
    if (existing->description == role.description && existing->scopes == role.scopes) return existing;
    return Error(ErrorCode::conflict,
                 fmt::format("there is a role \"{}\" already, with other values", shorten(id, shown_max)),
                 "update that one");
  }
  if (tx.state().table<Role>().size() >= roles_max) {
    return Error(ErrorCode::too_large, fmt::format("there are {} roles already, the most there may be", roles_max),
                 "delete those that nobody assumes");
  }
  tx.insert(std::move(role));
  return tx.find<Role>(id);
}

Result<const Role*> update_role(state::Transaction& tx, const std::string& id, const RoleRequest& request) {
  TRY(find_role(tx, id));
  TRY(Role role, described(tx, id, request));
  tx.update<Role>(id, [&](Role& changed) {
    role.created = changed.created;
    changed = std::move(role);
  });
  return tx.find<Role>(id);
}

void delete_role(state::Transaction& tx, const std::string& id) {
  if (tx.find<Role>(id)) tx.erase<Role>(id);
}

Result<const Role*> find_role(state::Transaction& tx, const std::string& id) {
  const Role* role = tx.find<Role>(id);
  if (!role) return no_role(id);
  return role;
}

void create_anonymous_role(state::Transaction& tx) {
  if (tx.find<Role>(anonymous_role)) return;
  Role role;
  role.id = anonymous_role;
  role.description = "What everybody may do, with or without credentials.";
  role.scopes = {"queue:get-artifact:public/*"};
  role.created = role.modified = tx.now();
  tx.insert(std::move(role));
}

}  // namespace gantry::access
