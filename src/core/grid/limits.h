// The bounds of nodes and of how they join.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace gantry::grid {

/// How long a node's credentials live. Less than certificates may, so that its clock may be wrong by as much as
/// anyone's.
inline constexpr Duration node_credentials_life = days(30);
/// They begin this long before they are issued, for nodes whose clocks are behind.
inline constexpr Duration node_credentials_backdate = minutes(5);

/// How many uses a join token may be limited to.
inline constexpr int join_uses_max = 1'000;
/// Limited tokens that have been used and have not expired.
inline constexpr std::size_t join_tokens_max = 10'000;
/// Nodes removed within node_credentials_life.
inline constexpr std::size_t removed_nodes_max = 100'000;
/// Records that one step of their expiry takes away at most.
inline constexpr std::size_t join_expiry_step_max = 50;

}  // namespace gantry::grid
