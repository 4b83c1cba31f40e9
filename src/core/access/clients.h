// Clients: lasting credentials with scopes (taskcluster.md 2.10; the rules are those of Taskcluster's auth service).
//
// Pure decisions. They say which scopes the caller needs; the handler checks them before it lets the change happen, in
// the same turn. Access tokens come here sealed: nothing in core knows one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "core/access/limits.h"
#include "core/access/scopes.h"
#include "core/state/transaction.h"

namespace gantry::access {

/// ^[A-Za-z0-9!@/:.+|_-]+$, id_bytes_max at most.
bool is_valid_client_id(std::string_view id);
/// invalid_input unless the id is valid and may be changed: "static/..." and `root_id` are the server's own.
Result<void> check_client_id(std::string_view id, std::string_view root_id);
/// Scopes as a client or role may be given them: valid, each once, none that ends in "**", within the limits.
Result<void> check_given_scopes(const std::vector<std::string>& scopes);

struct ClientRequest {
  std::string description;
  Time expires;
  bool delete_on_expiration = false;
  std::optional<std::vector<std::string>> scopes;  // none: as they are, or no scopes
};

/// auth:create-client:<id> and every scope that it gets.
ScopeExpression needed_to_create(std::string_view id, const ClientRequest& request);
/// auth:update-client:<id> and every scope that the client does not have yet. Errors: not_found.
Result<ScopeExpression> needed_to_update(state::Transaction& tx, const std::string& id, const ClientRequest& request);

/// The same request again within create_repeat_max returns the client as it was made the first time; its token is then
/// not `sealed_token`. Errors: invalid_input, conflict, too_large.
Result<const state::Client*> create_client(state::Transaction& tx, const std::string& id, const ClientRequest& request,
                                           std::string sealed_token);
/// Errors: invalid_input, not_found.
Result<const state::Client*> update_client(state::Transaction& tx, const std::string& id, const ClientRequest& request);
/// Errors: not_found.
Result<const state::Client*> reset_token(state::Transaction& tx, const std::string& id, std::string sealed_token);
Result<const state::Client*> set_disabled(state::Transaction& tx, const std::string& id, bool disabled);
/// Also if there is none.
void delete_client(state::Transaction& tx, const std::string& id);
/// Errors: not_found.
Result<const state::Client*> find_client(state::Transaction& tx, const std::string& id);

/// Notes that these were used just now, as far as the last note is older than last_used_precision. The first
/// expiry_step_max of them at most.
void note_used(state::Transaction& tx, std::span<const std::string> ids);
/// Deletes expired clients that asked for it, expiry_step_max at most; true if there may be more.
bool expire_clients(state::Transaction& tx);

}  // namespace gantry::access
