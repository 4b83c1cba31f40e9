// The auth service over HTTP (/api/auth/v1; taskcluster.md 2.10 and Taskcluster's reference of the auth service): what
// its files share, and what keeps clients and secrets in order in the background.
//
// io_context thread only.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "core/access/roles.h"
#include "core/state/access_records.h"
#include "server/api/handlers.h"
#include "store/store.h"

namespace gantry::server {

/// Of a request that makes or changes a client or role.
inline constexpr std::size_t access_body_bytes_max = 1024 * 1024;
/// A page ends once it has this many bytes.
inline constexpr std::size_t access_page_bytes_max = 4 * 1024 * 1024;

void append_scopes(JsonWriter& out, std::string_view key, const std::vector<std::string>& scopes);
/// As the service shows it, as an open object: the caller ends it.
void begin_client(JsonWriter& out, const state::Client& client, const access::RoleResolver& roles);
void append_role(JsonWriter& out, const state::Role& role, const access::RoleResolver& roles);

/// A list of scopes in a request; empty if it is not there. What is wrong fails the reader.
std::vector<std::string> read_scopes(ObjectReader& reader, std::string_view key);

void add_client_routes(Router& router, Services& services);
void add_role_routes(Router& router, Services& services);
void add_scope_routes(Router& router, Services& services);

/// What has to be done with clients, roles and secrets beside answering requests.
class AccessUpkeep {
 public:
  explicit AccessUpkeep(Services& services) : services_(services) {}

  /// When the state has been read: makes the role of everybody in a store that never had one. Throws Error
  /// (unavailable, corrupt) if something is sealed with a key that the server was not given.
  void begin(store::Store& store);
  /// Until it is cancelled: notes which clients are used, deletes clients and secrets that have expired.
  Async<> run();
  /// The two halves of a round of it; each step is one small transaction.
  Async<> tend_clients();
  Async<> expire_secrets();

 private:
  Services& services_;
};

}  // namespace gantry::server
