// What is remembered of how machines became nodes, and ceased to be. core/grid changes them.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/state/write.h"

namespace gantry::state {

/// Who has used a join token that may be used so many times and no more. What else there is to a token stands in itself
/// (server/auth/join_token.h); one that nobody has used yet has no record.
struct JoinToken {
  using Id = std::string;
  static constexpr TableId table_id = TableId::join_token;
  static constexpr bool cold = false;

  struct Use {
    NodeId node;
    Time at;
  };

  std::string id;
  std::vector<Use> uses;  // oldest first
  Time expires;           // with the token

  const Id& key() const { return id; }
  static Key store_key(const Id& id) { return {0, id}; }
};

/// Under this client id there was a node, which was removed: the credentials that were issued to it until then count no
/// more.
struct RemovedNode {
  using Id = std::string;
  static constexpr TableId table_id = TableId::removed_node;
  static constexpr bool cold = false;

  std::string client_id;
  NodeId node;
  Time removed;
  Time expires;  // when the last of those credentials has expired

  const Id& key() const { return client_id; }
  static Key store_key(const Id& id) { return {0, id}; }
};

}  // namespace gantry::state
