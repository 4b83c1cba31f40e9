// Many simulations: each in a process of its own, several at a time, so that one that dies takes no other with it.
#pragma once

#include <functional>
#include <string>

#include "sim/world.h"

namespace gantry::sim {

struct SeedResult {
  std::uint64_t seed = 0;
  Outcome outcome;
};

struct BatchOptions {
  std::uint64_t first_seed = 1;
  std::uint64_t seeds = 1;
  int jobs = 1;
  Options simulation;  // its seed is replaced
  /// Each seed runs twice and the traces must match; else only one in ten does.
  bool always_twice = false;
  /// No further seeds after the first that fails.
  bool stop_at_failure = false;
};

/// Calls `done` for each seed in the order in which they finish. A process that died counts as a failure. Must be
/// called while this process has no threads.
void run_batch(const BatchOptions& options, const std::function<void(const SeedResult&)>& done);

/// One seed in this process, twice if it is its turn to be compared.
Outcome run_seed(const Options& options, bool twice);

}  // namespace gantry::sim
