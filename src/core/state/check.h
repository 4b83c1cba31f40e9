// Whether a State is consistent in itself: for tests and the simulator, after whatever they do to it.
#pragma once

#include <optional>
#include <string>

#include "core/state/state.h"

namespace gantry::state {

/// The first thing that is wrong, or nothing: the indexes must say what the tables say, there must be one allocation
/// for each running run and no other, every task's runs must be in order, and what waits for other tasks must have been
/// told and must pull, but for work that is under way. Visits every record in memory.
std::optional<std::string> check_state(const State& state);

}  // namespace gantry::state
