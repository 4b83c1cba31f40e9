#include "sim/dependency_watch.h"

#include <algorithm>

#include <fmt/format.h>

namespace gantry::sim {
namespace {

using wire::ReasonCreated;
using wire::TaskState;

/// How long a task that waits for nothing any more may stay unscheduled. What is too large for one step takes several.
constexpr std::int64_t release_us_max = 10'000'000;

/// What matters of a run, from wherever it is known.
struct Ended {
  bool resolved;
  TaskState state;
  ReasonCreated created;
  Time scheduled;
  Time at;
};

std::vector<Ended> runs_of(const state::State& state, const Oracle& oracle, TaskId id) {
  std::vector<Ended> runs;
  if (const auto* row = state.table<state::Task>().find(id)) {
    for (const state::Run& run : row->record.runs) {
      runs.push_back({wire::is_resolved(run.state), run.state, run.reason_created, run.scheduled, run.resolved});
    }
    return runs;
  }
  const TaskFacts* facts = oracle.find(id);
  if (!facts) return runs;
  for (const SeenRun& run : facts->runs) {
    runs.push_back({wire::is_resolved(run.state), run.state, run.created, run.scheduled, run.resolved});
  }
  return runs;
}

/// Whether the task was over, as is required, at some time from `from` to `until`.
bool was_over(const std::vector<Ended>& runs, bool any_outcome, Time from, Time until, bool strictly) {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    bool last = i + 1 == runs.size();
    bool for_good = runs[i].resolved && (last || runs[i + 1].created == ReasonCreated::rerun);
    bool as_required = runs[i].state == TaskState::completed || any_outcome;
    if (!for_good || !as_required || runs[i].at > until) continue;
    if (last || runs[i + 1].scheduled > from || (!strictly && runs[i + 1].scheduled == from)) return true;
  }
  return false;
}

}  // namespace

void DependencyWatch::start_over() {
  released_.clear();
  ended_.clear();
  waiting_.clear();
  due_.clear();
}

void DependencyWatch::saw(const state::Task* before, const state::Task& task) {
  if (!task.runs.empty() && (!before || before->runs.empty())) released_.push_back(task.id);
  if (task.resolved() && before && !before->resolved()) ended_.push_back(task.id);
  if (task.runs.empty() && !before) waiting_.push_back(task.id);
}

bool DependencyWatch::all_met(const state::State& state, const TaskFacts& facts, Time created, Time until,
                              bool strictly) const {
  if (facts.defined_only) return false;
  return std::ranges::all_of(facts.definition.dependencies, [&](TaskId id) {
    if (id == facts.id) return false;
    return was_over(runs_of(state, oracle_, id), facts.definition.any_outcome, created, until, strictly);
  });
}

void DependencyWatch::check_released(const state::State& state, TaskId id) {
  const auto* row = state.table<state::Task>().find(id);
  const TaskFacts* facts = oracle_.find(id);
  if (!row || !facts || row->record.runs.empty()) return;
  bool waits = facts->defined_only || !facts->definition.dependencies.empty();
  const state::Run& first = row->record.runs.front();
  if (!waits || first.reason_created != ReasonCreated::scheduled || facts->schedule_asked) return;
  if (all_met(state, *facts, row->record.created, first.scheduled, false)) return;
  fail_(fmt::format("the server's state: task {} runs before what it depends on has ended as it requires",
                    id.to_string()));
}

void DependencyWatch::note_due(const state::State& state, TaskId id, std::int64_t now_us) {
  const auto* row = state.table<state::Task>().find(id);
  const TaskFacts* facts = oracle_.find(id);
  if (!row || !facts || !row->record.runs.empty() || due_.contains(id)) return;
  if (all_met(state, *facts, row->record.created, Time::max(), true)) due_.emplace(id, now_us);
}

void DependencyWatch::look(const state::State& state, Time server_now, std::int64_t now_us, std::int64_t trouble_us) {
  for (TaskId id : std::exchange(released_, {})) check_released(state, id);
  for (TaskId id : std::exchange(waiting_, {})) note_due(state, id, now_us);
  for (TaskId ended : std::exchange(ended_, {})) {
    for (TaskId id : oracle_.dependents(ended)) note_due(state, id, now_us);
  }
  for (auto due = due_.begin(); due != due_.end();) {
    const auto& [id, since_us] = *due;
    const auto* row = state.table<state::Task>().find(id);
    if (!row || !row->record.runs.empty() || row->record.deadline <= server_now) {
      due = due_.erase(due);
      continue;
    }
    if (now_us - std::max(since_us, trouble_us) > release_us_max) {
      fail_(
          fmt::format("the server's state: task {} still waits, although all that it depends on has ended as it "
                      "requires",
                      id.to_string()));
    }
    ++due;
  }
}

}  // namespace gantry::sim
