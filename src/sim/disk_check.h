// Looks at what is on the disk: whether its tables fit together, whether they say what the live state says, and whether
// everything that was acknowledged is there.
#pragma once

#include <optional>
#include <string>

#include "core/state/state.h"
#include "sim/oracle.h"
#include "store/store.h"

namespace gantry::sim {

/// The first contradiction within the disk, or nothing.
std::optional<std::string> check_disk(store::Store& store);

/// The first difference between the disk and a state all of which is durable, or nothing.
std::optional<std::string> compare_with_disk(const state::State& state, store::Store& store);

/// A resolved task by its id, or nothing.
std::optional<state::Task> read_resolved(store::Store& store, TaskId id);

/// Holds everything on the disk against what the oracle knows; it learns from it, too. Contradictions go to the
/// oracle's Fail, missing records are returned.
std::optional<std::string> check_facts(Oracle& oracle, store::Store& store, std::int64_t now_us);

}  // namespace gantry::sim
