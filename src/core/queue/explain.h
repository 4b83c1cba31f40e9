// Why a task stands where it stands: for people who wait for it. Pure; reads only what is in memory.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/state/state.h"

namespace gantry::queue {

struct Explanation {
  struct Dependency {
    TaskId task;
    std::optional<state::TaskState> state;  // none: it is resolved and not in memory, or has expired
  };
  struct Claimer {
    NodeId node;                // empty: a foreign worker
    std::string worker;         // "<workerGroup>/<workerId>"
    bool has_room = false;      // for this task now; a foreign worker always has
    bool large_enough = false;  // for this task if it were empty
    Time last_active;           // foreign worker: its last claim; a node: epoch
  };

  state::TaskState state = state::TaskState::unscheduled;
  state::Priority priority = state::Priority::lowest;
  state::Priority pulled = state::Priority::lowest;
  Time deadline;
  int retries_left = 0;

  // Unscheduled
  bool all_completed = true;     // else: any outcome will do
  bool until_scheduled = false;  // it waits for somebody to schedule it as well
  std::size_t unmet = 0;
  std::vector<Dependency> waits_for;  // the first explain_dependencies_max of them

  // Pending
  std::size_t ahead = 0;          // tasks that stand before it in its queue's line
  std::size_t in_line = 0;        // all of them
  bool fits_somewhere = false;    // some claimer is large enough
  std::vector<Claimer> claimers;  // at most explain_claimers_max, those with room first

  // The last run that was claimed
  int last_run = -1;  // -1: none
  std::string last_worker;
  Time last_started;
  Time last_taken_until;

  /// One sentence that says it all: "pending: 12 tasks stand before it in prov/queue; ...".
  std::string summary;
};

/// Load the dependencies that unmet_dependencies names first, to see the state of those that are resolved.
Explanation explain(const state::State& state, const state::Task& task);

/// The first explain_dependencies_max tasks that it still waits for.
std::vector<TaskId> unmet_dependencies(const state::Task& task);

}  // namespace gantry::queue
