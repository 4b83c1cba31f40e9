#include "core/access/clients.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::access {
namespace {

using state::Client;

constexpr std::size_t shown_max = 200;
constexpr std::string_view reserved_prefix = "static/";

Error no_client(const std::string& id) {
  return Error(ErrorCode::not_found, fmt::format("there is no client \"{}\"", shorten(id, shown_max)));
}

Error invalid(std::string message, std::string hint = {}) {
  return Error(ErrorCode::invalid_input, std::move(message), std::move(hint));
}

Result<void> check_request(const ClientRequest& request) {
  if (request.description.size() > description_bytes_max) {
    return invalid(fmt::format("description: must be at most {} bytes", description_bytes_max));
  }
  if (request.scopes) {
    TRY(check_given_scopes(*request.scopes));
  }
  return success();
}

void fill(Client& client, const ClientRequest& request, Time now) {
  client.description = request.description;
  client.expires = request.expires;
  client.delete_on_expiration = request.delete_on_expiration;
  if (request.scopes) client.scopes = *request.scopes;
  client.modified = now;
}

bool is_repeated(const Client& client, const ClientRequest& request, Time now) {
  return client.description == request.description && client.expires == request.expires &&
         client.delete_on_expiration == request.delete_on_expiration && !client.disabled &&
         client.scopes == request.scopes.value_or(std::vector<std::string>()) &&
         now - client.created <= create_repeat_max;
}

}  // namespace

bool is_valid_client_id(std::string_view id) {
  auto allowed = [](char c) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || std::string_view("!@/:.+|_-").find(c) != std::string_view::npos;
  };
  return !id.empty() && id.size() <= id_bytes_max && std::ranges::all_of(id, allowed);
}

Result<void> check_client_id(std::string_view id, std::string_view root_id) {
  if (!is_valid_client_id(id)) {
    return invalid(fmt::format("\"{}\" is not a client id", shorten(id, shown_max)),
                   fmt::format("a client id has 1 to {} letters, digits or any of !@/:.+|_-", id_bytes_max))
        .with_fault(InputFault::arguments);
  }
  if (id == root_id || id.starts_with(reserved_prefix)) {
    return invalid(fmt::format("the client id \"{}\" is reserved for clients that the server is configured with",
                               shorten(id, shown_max)),
                   "choose another one");
  }
  return success();
}

Result<void> check_given_scopes(const std::vector<std::string>& scopes) {
  if (scopes.size() > scopes_per_record_max) {
    return Error(ErrorCode::too_large, fmt::format("scopes: there may be at most {}", scopes_per_record_max));
  }
  std::unordered_set<std::string_view> seen;
  std::size_t bytes = 0;
  for (const std::string& scope : scopes) {
    bytes += scope.size();
    if (scope.size() > scope_bytes_max) {
      return invalid(fmt::format("scopes: one has more than {} bytes", scope_bytes_max));
    }
    if (!is_valid_scope(scope)) {
      return invalid(fmt::format("scopes: \"{}\" is not a scope", shorten(scope, shown_max)),
                     "a scope is printable ASCII");
    }
    if (scope.ends_with("**")) {
      return invalid(fmt::format("scopes: \"{}\" must not end in **", shorten(scope, shown_max)),
                     "one star at the end covers everything that begins like it");
    }
    if (!seen.insert(scope).second) {
      return invalid(fmt::format("scopes: \"{}\" is there twice", shorten(scope, shown_max)));
    }
  }
  if (bytes > scopes_per_record_bytes_max) {
    return Error(ErrorCode::too_large,
                 fmt::format("scopes: they may have at most {} bytes together", scopes_per_record_bytes_max),
                 "put them into roles, and give it those");
  }
  return success();
}

ScopeExpression needed_to_create(std::string_view id, const ClientRequest& request) {
  std::vector<ScopeExpression> needed{fmt::format("auth:create-client:{}", id)};
  if (request.scopes) needed.insert(needed.end(), request.scopes->begin(), request.scopes->end());
  return ScopeExpression::all_of(std::move(needed));
}

Result<ScopeExpression> needed_to_update(state::Transaction& tx, const std::string& id, const ClientRequest& request) {
  TRY(const Client* client, find_client(tx, id));
  std::vector<ScopeExpression> needed{fmt::format("auth:update-client:{}", id)};
  if (request.scopes) {
    std::unordered_set<std::string_view> held(client->scopes.begin(), client->scopes.end());
    for (const std::string& scope : *request.scopes) {
      if (!held.contains(scope)) needed.emplace_back(scope);
    }
  }
  return ScopeExpression::all_of(std::move(needed));
}

Result<const Client*> create_client(state::Transaction& tx, const std::string& id, const ClientRequest& request,
                                    std::string sealed_token) {
  TRY(check_request(request));
  if (const Client* existing = tx.find<Client>(id)) {
    if (is_repeated(*existing, request, tx.now())) return existing;
    return Error(ErrorCode::conflict,
                 fmt::format("there is a client \"{}\" already, with other values or made more than {} ago",
                             shorten(id, shown_max), format_duration(create_repeat_max)),
                 "update that one, reset its token, or choose another id");
  }
  if (tx.state().table<Client>().size() >= clients_max) {
    return Error(ErrorCode::too_large, fmt::format("there are {} clients already, the most there may be", clients_max),
                 "delete those that are not used");
  }
  Client client;
  client.id = id;
  client.sealed_token = std::move(sealed_token);
  client.created = client.rotated = client.last_used = tx.now();
  fill(client, request, tx.now());
  tx.insert(std::move(client));
  return tx.find<Client>(id);
}

Result<const Client*> update_client(state::Transaction& tx, const std::string& id, const ClientRequest& request) {
  TRY(check_request(request));
  TRY(find_client(tx, id));
  tx.update<Client>(id, [&](Client& client) { fill(client, request, tx.now()); });
  return tx.find<Client>(id);
}

Result<const Client*> reset_token(state::Transaction& tx, const std::string& id, std::string sealed_token) {
  TRY(find_client(tx, id));
  tx.update<Client>(id, [&](Client& client) {
    client.sealed_token = std::move(sealed_token);
    client.rotated = tx.now();
  });
  return tx.find<Client>(id);
}

Result<const Client*> set_disabled(state::Transaction& tx, const std::string& id, bool disabled) {
  TRY(const Client* client, find_client(tx, id));
  if (client->disabled == disabled) return client;
  tx.update<Client>(id, [&](Client& changed) { changed.disabled = disabled; });
  return tx.find<Client>(id);
}

void delete_client(state::Transaction& tx, const std::string& id) {
  if (tx.find<Client>(id)) tx.erase<Client>(id);
}

Result<const Client*> find_client(state::Transaction& tx, const std::string& id) {
  const Client* client = tx.find<Client>(id);
  if (!client) return no_client(id);
  return client;
}

void note_used(state::Transaction& tx, std::span<const std::string> ids) {
  for (const std::string& id : ids.first(std::min(ids.size(), expiry_step_max))) {
    const Client* client = tx.find<Client>(id);
    if (!client || tx.now() - client->last_used < last_used_precision) continue;
    tx.update<Client>(id, [&](Client& changed) { changed.last_used = tx.now(); });
  }
}

bool expire_clients(state::Transaction& tx) {
  std::vector<std::string> expired;
  tx.state().table<Client>().for_each([&](const Client& client) {
    if (client.delete_on_expiration && client.expires <= tx.now() && expired.size() <= expiry_step_max) {
      expired.push_back(client.id);
    }
  });
  bool more = expired.size() > expiry_step_max;
  if (more) expired.pop_back();
  for (const std::string& id : expired) tx.erase<Client>(id);
  return more;
}

}  // namespace gantry::access
