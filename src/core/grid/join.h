// Machines become nodes by join tokens, and removed nodes stay out: how often a token was used, and which credentials
// count no more.
#pragma once

#include <string>

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::grid {

/// Who a node is among the clients: "node/<taskQueueId>/<workerId>".
std::string node_client_id(std::string_view task_queue, std::string_view worker_id);

/// A join token that may be used `uses_max` times.
struct LimitedToken {
  std::string id;
  int uses_max = 1;
  Time expires;
};

/// Counts a use of the token by `node`. A node that has used it may use it again, for instance because the answer was
/// lost, and that counts once; but not after it was removed. Errors: not_authenticated if it is used up, unavailable if
/// there are too many such tokens.
Result<void> use_join_token(state::Transaction& tx, const LimitedToken& token, NodeId node);

/// From now on the credentials that this node has do not count. Errors: unavailable if too many were removed.
Result<void> revoke_node(state::Transaction& tx, const state::Node& node);

/// When credentials that begin at `start` were issued to a node of that name: too early, because it was removed since?
bool is_revoked(const state::State& state, const std::string& client_id, Time start);

/// When credentials may be issued to it so that they are not revoked: now, or just after it was removed.
Time may_issue_at(const state::State& state, const std::string& client_id, Time now);

/// Forgets tokens and removals that have expired, some of them. True: there are more.
bool expire_joins(state::Transaction& tx);

}  // namespace gantry::grid
