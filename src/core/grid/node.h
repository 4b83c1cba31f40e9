// Nodes enter and leave the ledger.
#pragma once

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::grid {

/// Makes the node known as it describes itself. Nothing is written if nothing has changed since. Errors: conflict if
/// another node has the same worker group and id; but if `other_is_silent` (it has not been heard of for node_term) and
/// it holds nothing, this one takes its place, as an agent does whose data directory was lost.
Result<void> register_node(state::Transaction& tx, state::Node node, bool other_is_silent = false);

/// Takes a node out of the ledger, and its credentials from it. It must hold nothing (queue::expire_node first).
/// Errors: not_found, conflict, unavailable.
Result<void> remove_node(state::Transaction& tx, NodeId id);

}  // namespace gantry::grid
