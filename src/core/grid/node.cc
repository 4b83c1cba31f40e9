#include "core/grid/node.h"

#include <fmt/format.h>

#include "core/grid/join.h"

namespace gantry::grid {
namespace {

bool same_description(const state::Node& a, const state::Node& b) {
  return a.name == b.name && a.task_queue == b.task_queue && a.worker_group == b.worker_group &&
         a.worker_id == b.worker_id && a.slots == b.slots && a.memory_bytes == b.memory_bytes && a.cpus == b.cpus &&
         a.version == b.version;
}

}  // namespace

Result<void> register_node(state::Transaction& tx, state::Node node, bool other_is_silent) {
  NodeId worker = tx.state().node_of_worker(node.worker_group, node.worker_id);
  bool taken = !worker.empty() && worker != node.id;
  bool free = taken && other_is_silent && tx.state().allocations_on(worker).empty();
  if (taken && !free) {
    return Error(ErrorCode::conflict,
                 fmt::format("worker {}/{} is node {} already", node.worker_group, node.worker_id, worker.to_string()),
                 other_is_silent ? "its runs are being taken from it; try again in a moment"
                                 : "give this agent another name, or stop the other one");
  }
  const state::Node* known = tx.find<state::Node>(node.id);
  if (known && (known->worker_group != node.worker_group || known->worker_id != node.worker_id)) {
    return Error(ErrorCode::conflict,
                 fmt::format("node {} is worker {}/{}, not {}/{}", node.id.to_string(), known->worker_group,
                             known->worker_id, node.worker_group, node.worker_id),
                 "an agent that becomes another worker needs a data directory of its own");
  }
  if (known && same_description(*known, node)) return success();
  if (free) tx.erase<state::Node>(worker);
  node.registered = tx.now();
  if (!known) {
    tx.insert(std::move(node));
    return success();
  }
  tx.update<state::Node>(node.id, [&](state::Node& changed) { changed = node; });
  return success();
}

Result<void> remove_node(state::Transaction& tx, NodeId id) {
  if (!tx.find<state::Node>(id)) {
    return Error(ErrorCode::not_found, fmt::format("there is no node {}", id.to_string()), "see: gantry nodes");
  }
  if (!tx.state().allocations_on(id).empty()) {
    return Error(ErrorCode::conflict, fmt::format("node {} still holds runs", id.to_string()));
  }
  TRY(revoke_node(tx, *tx.find<state::Node>(id)));
  tx.erase<state::Node>(id);
  return success();
}

}  // namespace gantry::grid
