// Holds the order of tasks against their definitions: none runs before what it depends on has ended as it requires,
// unless somebody has scheduled it; one that waits for nothing any more is pending soon, also after a crash; and who
// was released stays released, whatever becomes of what it waited for.
//
// Of the server's state it uses the runs of tasks only, not what that keeps about waiting.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "core/state/state.h"
#include "sim/oracle.h"

namespace gantry::sim {

class DependencyWatch {
 public:
  DependencyWatch(Oracle& oracle, Oracle::Fail fail) : oracle_(oracle), fail_(std::move(fail)) {}

  /// There is nothing to compare with: every task is about to be seen as if for the first time.
  void start_over();
  /// A task has changed; `before` is null when it is seen for the first time.
  void saw(const state::Task* before, const state::Task& task);
  /// A task that is no longer in memory was resolved.
  void ended(TaskId task) { ended_.push_back(task); }
  /// After all changes of a step. `trouble_us` is when something was last wrong with the server.
  void look(const state::State& state, Time server_now, std::int64_t now_us, std::int64_t trouble_us);

 private:
  /// Whether what `facts` says depends on it so far: `strictly` leaves out what happened at the very moment of
  /// creation.
  bool all_met(const state::State& state, const TaskFacts& facts, Time created, Time until, bool strictly) const;
  void check_released(const state::State& state, TaskId id);
  void note_due(const state::State& state, TaskId id, std::int64_t now_us);

  Oracle& oracle_;
  Oracle::Fail fail_;
  std::vector<TaskId> released_;
  std::vector<TaskId> ended_;
  std::vector<TaskId> waiting_;         // that were seen for the first time
  std::map<TaskId, std::int64_t> due_;  // since when they should be pending
};

}  // namespace gantry::sim
