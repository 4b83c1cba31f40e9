#include "core/grid/join.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/grid/limits.h"

namespace gantry::grid {
namespace {

using state::JoinToken;
using state::RemovedNode;

/// Only a repeated use asks, so it may look at all of them.
bool was_removed_since(const state::State& state, NodeId node, Time at) {
  bool found = false;
  state.table<RemovedNode>().for_each(
      [&](const RemovedNode& removed) { found = found || (removed.node == node && removed.removed >= at); });
  return found;
}

bool has_used(const state::State& state, const JoinToken& token, NodeId node) {
  return std::ranges::any_of(token.uses, [&](const JoinToken::Use& use) {
    return use.node == node && !was_removed_since(state, node, use.at);
  });
}

template <class Record>
bool expire_some(state::Transaction& tx) {
  std::vector<std::string> expired;
  tx.state().table<Record>().for_each([&](const Record& record) {
    if (record.expires <= tx.now()) expired.push_back(record.key());
  });
  std::ranges::sort(expired);
  std::size_t erased = 0;
  while (erased < expired.size() && erased < join_expiry_step_max && tx.has_room(1)) {
    tx.erase<Record>(expired[erased]);
    ++erased;
  }
  return erased < expired.size();
}

}  // namespace

std::string node_client_id(std::string_view task_queue, std::string_view worker_id) {
  return fmt::format("node/{}/{}", task_queue, worker_id);
}

Result<void> use_join_token(state::Transaction& tx, const LimitedToken& token, NodeId node) {
  const JoinToken* known = tx.find<JoinToken>(token.id);
  if (known && has_used(tx.state(), *known, node)) return success();
  if (known && known->uses.size() >= static_cast<std::size_t>(token.uses_max)) {
    return Error(ErrorCode::not_authenticated,
                 fmt::format("the join token is used up: it was for {} machine{}", token.uses_max,
                             token.uses_max == 1 ? "" : "s"),
                 "make a new one on the server: gantry node token");
  }
  JoinToken::Use use{node, tx.now()};
  if (known) {
    tx.update<JoinToken>(token.id, [&](JoinToken& changed) { changed.uses.push_back(use); });
    return success();
  }
  if (tx.state().table<JoinToken>().size() >= join_tokens_max) {
    return Error(
        ErrorCode::unavailable,
        fmt::format("{} join tokens with a number of uses are in use, and there may be no more", join_tokens_max),
        "wait until some have expired, or make one for any number of machines");
  }
  tx.insert(JoinToken{token.id, {use}, token.expires});
  return success();
}

Result<void> revoke_node(state::Transaction& tx, const state::Node& node) {
  RemovedNode removed;
  removed.client_id = node_client_id(node.task_queue, node.worker_id);
  removed.node = node.id;
  removed.removed = tx.now();
  // By then even what was issued under a clock that ran ahead has expired.
  removed.expires = tx.now() + node_credentials_life + node_credentials_backdate;
  if (tx.find<RemovedNode>(removed.client_id)) {
    tx.update<RemovedNode>(removed.client_id, [&](RemovedNode& changed) { changed = removed; });
    return success();
  }
  if (tx.state().table<RemovedNode>().size() >= removed_nodes_max) {
    return Error(ErrorCode::unavailable,
                 fmt::format("{} nodes were removed in the last {}, and there may be no more", removed_nodes_max,
                             format_duration(node_credentials_life)),
                 "leave this one in the list until some of those are forgotten");
  }
  tx.insert(std::move(removed));
  return success();
}

bool is_revoked(const state::State& state, const std::string& client_id, Time start) {
  const auto* row = state.table<RemovedNode>().find(client_id);
  return row && start + node_credentials_backdate <= row->record.removed;
}

Time may_issue_at(const state::State& state, const std::string& client_id, Time now) {
  const auto* row = state.table<RemovedNode>().find(client_id);
  return row ? std::max(now, row->record.removed + milliseconds(1)) : now;
}

bool expire_joins(state::Transaction& tx) {
  bool more_tokens = expire_some<JoinToken>(tx);
  bool more_nodes = expire_some<RemovedNode>(tx);
  return more_tokens || more_nodes;
}

}  // namespace gantry::grid
