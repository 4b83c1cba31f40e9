// Start: from the store to the live state. Only what is unresolved is read in full; of resolved tasks, their ids.
#pragma once

#include "core/state/state.h"
#include "server/cold.h"
#include "store/store.h"

namespace gantry::server {

/// Fills an empty state. Blocks; throws Error (corrupt, unsupported, unavailable).
void load_state(store::Store& store, state::State& state, KnownTasks& known, KnownGroups& known_groups);

}  // namespace gantry::server
