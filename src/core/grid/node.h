// Nodes enter and leave the ledger.
#pragma once

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::grid {

/// Makes the node known as it describes itself. Nothing is written if nothing has changed since. Errors: conflict if
/// another node has the same worker group and id.
Result<void> register_node(state::Transaction& tx, state::Node node);

}  // namespace gantry::grid
