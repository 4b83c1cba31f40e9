// Making, changing and deleting roles. Pure; see clients.h for who checks the scopes that a change needs.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "core/access/roles.h"
#include "core/access/scopes.h"
#include "core/state/transaction.h"

namespace gantry::access {

/// The role that everybody has, with or without credentials. A new store gets it with what is public by convention;
/// from then on it is a role like any other.
inline constexpr const char* anonymous_role = "anonymous";

struct RoleRequest {
  std::string description;
  std::vector<std::string> scopes;
};

/// invalid_input unless it is 1 to id_bytes_max printable characters.
Result<void> check_role_id(std::string_view id);

/// auth:create-role:<id> and the role's scopes.
ScopeExpression needed_to_create(std::string_view id, const RoleRequest& request);
/// auth:update-role:<id> and every scope that the role does not stand for yet; `roles` are those of the state. Errors:
/// not_found.
Result<ScopeExpression> needed_to_update(state::Transaction& tx, const std::string& id, const RoleRequest& request,
                                         const RoleResolver& roles);

/// An equal role that exists already is returned as it is. Errors: invalid_input (cycles too), conflict, too_large.
Result<const state::Role*> create_role(state::Transaction& tx, const std::string& id, const RoleRequest& request);
/// Errors: invalid_input (cycles too), not_found, too_large.
Result<const state::Role*> update_role(state::Transaction& tx, const std::string& id, const RoleRequest& request);
/// Also if there is none.
void delete_role(state::Transaction& tx, const std::string& id);
/// Errors: not_found.
Result<const state::Role*> find_role(state::Transaction& tx, const std::string& id);

/// The anonymous role as a new store gets it.
void create_anonymous_role(state::Transaction& tx);

}  // namespace gantry::access
