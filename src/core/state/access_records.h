// Who may do what: clients, roles and secrets. core/access changes them.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "core/state/write.h"

namespace gantry::state {

/// A lasting set of credentials. The access token is stored sealed with the key file (server/auth/seal.h).
struct Client {
  using Id = std::string;
  static constexpr TableId table_id = TableId::client;
  static constexpr bool cold = false;

  std::string id;
  std::string sealed_token;
  std::string description;
  std::vector<std::string> scopes;  // as given, not expanded
  Time expires;
  Time created;
  Time modified;
  Time rotated;
  Time last_used;  // to within a few hours
  bool delete_on_expiration = false;
  bool disabled = false;

  const Id& key() const { return id; }
  static Key store_key(const Id& id) { return {0, id}; }
};

/// `assume:<id>` stands for its scopes.
struct Role {
  using Id = std::string;
  static constexpr TableId table_id = TableId::role;
  static constexpr bool cold = false;

  std::string id;
  std::string description;
  std::vector<std::string> scopes;
  Time created;
  Time modified;

  const Id& key() const { return id; }
  static Key store_key(const Id& id) { return {0, id}; }
};

struct Secret {
  using Id = std::string;
  static constexpr TableId table_id = TableId::secret;
  static constexpr bool cold = true;

  std::string name;
  std::string sealed_value;  // the secret's JSON, sealed with the key file
  Time expires;

  const Id& key() const { return name; }
  static Key store_key(const Id& name) { return {0, name}; }
};

}  // namespace gantry::state
