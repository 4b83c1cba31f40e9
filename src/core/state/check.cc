#include "core/state/check.h"

#include <fmt/format.h>

namespace gantry::state {
namespace {

/// The indexes as they follow from the tables.
struct Expected {
  std::map<std::string, std::set<PendingKey>> pending;
  std::set<std::pair<Time, TaskId>> deadlines;
  std::set<std::pair<Time, TaskId>> claims;
  std::map<NodeId, std::set<AllocationId>> allocations_on;
  std::set<AllocationId> running;
  std::map<TaskId, std::set<std::pair<std::uint64_t, TaskId>>> dependents;
  std::map<TaskGroupId, std::set<std::pair<std::uint64_t, TaskId>>> open_in_group;
  std::size_t resolved = 0;
};

std::optional<std::string> check_runs(const Task& task) {
  int retried = 0;
  int budget = task.retries;  // of retries, since the last rerun
  for (std::size_t i = 0; i < task.runs.size(); ++i) {
    const Run& run = task.runs[i];
    bool resolved = wire::is_resolved(run.state);
    bool last = i + 1 == task.runs.size();
    bool retry = run.reason_created == ReasonCreated::retry || run.reason_created == ReasonCreated::task_retry;
    retried += retry ? 1 : 0;
    if (run.reason_created == ReasonCreated::rerun) {
      retried = 0;
      budget = std::min(task.retries, runs_max - static_cast<int>(i) - 1);
    }
    const char* wrong = nullptr;
    if (!last && !resolved) wrong = "is not resolved although another follows";
    if (resolved != (run.reason_resolved != ReasonResolved::none)) wrong = "has a state that contradicts its reason";
    if (resolved != (run.resolved != Time())) wrong = "has a time of resolution that contradicts its state";
    bool claimed = run.taken_until != Time();
    if (run.state == TaskState::running && !claimed) wrong = "runs without a claim";
    if (run.state != TaskState::running && !resolved && claimed) wrong = "has a claim but does not run";
    if (claimed && run.worker_id.empty()) wrong = "has a claim of no worker";
    if (run.state == TaskState::running && run.worker_id.empty()) wrong = "runs on no worker";
    if (run.state == TaskState::pending && !run.worker_id.empty()) wrong = "is pending but has a worker";
    if (wrong) return fmt::format("run {} of task {} {}", i, task.id.to_string(), wrong);
  }
  if (task.runs.size() > static_cast<std::size_t>(runs_max)) {
    return fmt::format("task {} has {} runs", task.id.to_string(), task.runs.size());
  }
  if (task.retries_left < 0 || task.retries_left + retried != budget) {
    return fmt::format("task {} has {} retries left after {} of {}", task.id.to_string(), task.retries_left, retried,
                       budget);
  }
  return std::nullopt;
}

/// Whether what it waits for fits together in itself, and with its state.
std::optional<std::string> check_waits(const Task& task, Time now) {
  auto wrong = [&](std::string_view what) { return fmt::format("task {} {}", task.id.to_string(), what); };
  if ((task.state() == TaskState::unscheduled) != (task.waits != nullptr)) {
    return wrong(task.waits ? "waits but is not unscheduled" : "is unscheduled but waits for nothing");
  }
  if (!task.waits) return std::nullopt;
  const Waits& waits = *task.waits;
  if (!waits.on || waits.met.size() != (waits.on->size() + 63) / 64) return wrong("waits for it knows not what");
  std::uint32_t open = 0;
  for (std::size_t i = 0; i < waits.on->size(); ++i) open += waits.is_met(i) ? 0 : 1;
  if (open != waits.left) return wrong(fmt::format("has {} open dependencies but counts {}", open, waits.left));
  bool free = open == 0 && !waits.until_scheduled;
  if (free && task.deadline > now) return wrong("is unscheduled although all that it waits for is met");
  return std::nullopt;
}

/// Work that may not have brought about yet what check_dependencies() looks for.
struct UnderWay {
  bool release = false;
  bool pull = false;
};

UnderWay under_way(const State& state) {
  UnderWay found;
  state.table<Work>().for_each([&](const Work& work) {
    found.release = found.release || work.kind == Work::Kind::release;
    found.pull = found.pull || work.kind == Work::Kind::pull || work.kind == Work::Kind::group_pulls;
  });
  return found;
}

/// What a dependency that is known here must have done for a task that waits for it.
std::optional<std::string> check_dependencies(const State& state, const Task& task, UnderWay work) {
  if (!task.waits || task.deadline <= state.last_time()) return std::nullopt;
  Priority passed_on = task.pulls ? task.effective_priority() : task.pulled;
  for (std::size_t i = 0; i < task.waits->on->size(); ++i) {
    TaskId id = (*task.waits->on)[i];
    const auto* row = state.table<Task>().find(id);
    if (task.waits->is_met(i) || !row || id == task.id) continue;
    const Task& dependency = row->record;
    bool enough = dependency.state() == TaskState::completed || (task.waits->any_outcome && dependency.resolved());
    if (enough && !work.release) {
      return fmt::format("task {} still waits for task {}, which is {}", task.id.to_string(), id.to_string(),
                         name_of(dependency.state()));
    }
    if (!dependency.resolved() && dependency.pulled < passed_on && !work.pull) {
      return fmt::format("task {} is not pulled to {} by task {}, which waits for it", id.to_string(),
                         name_of(passed_on), task.id.to_string());
    }
  }
  return std::nullopt;
}

template <class Key>
bool same_keys(const std::set<Key>& expected, const OrderedSet<Key>& index) {
  return expected.size() == index.size() && std::equal(expected.begin(), expected.end(), index.begin());
}

/// For indexes that cannot be walked: the expected lines are there, and no task has a line that is not expected.
template <class Id, class Line>
bool same_task_lines(const std::map<Id, std::set<std::pair<std::uint64_t, TaskId>>>& expected, const State& state,
                     Line line_of) {
  for (const auto& [id, line] : expected) {
    if (!same_keys(line, line_of(id))) return false;
  }
  bool none_else = true;
  state.table<Task>().for_each([&](const Task& task) {
    none_else = none_else && (line_of(task.id).empty() || expected.contains(task.id));
    none_else = none_else && (line_of(task.group).empty() || expected.contains(task.group));
  });
  return none_else;
}

bool same_lines(const Expected& expected, const State& state) {
  if (expected.pending.size() != state.pending_lines().size()) return false;
  for (const auto& [queue, line] : expected.pending) {
    if (!same_keys(line, state.pending(queue))) return false;
  }
  return true;
}

void expect(Expected& expected, const Task& task) {
  if (task.resolved()) {
    ++expected.resolved;
    return;
  }
  expected.deadlines.insert({task.deadline, task.id});
  if (task.state() == TaskState::pending) {
    expected.pending[task.task_queue].insert(pending_key(task));
  }
  if (task.group != task.id) expected.open_in_group[task.group].insert({task.sequence, task.id});
  for (std::size_t i = 0; task.waits && i < task.waits->on->size(); ++i) {
    if (!task.waits->is_met(i)) expected.dependents[(*task.waits->on)[i]].insert({task.sequence, task.id});
  }
  if (task.state() == TaskState::running) {
    expected.claims.insert({task.runs.back().taken_until, task.id});
    expected.running.insert({task.id, static_cast<int>(task.runs.size()) - 1});
  }
}

std::optional<std::string> check_allocations(const State& state, Expected& expected) {
  std::optional<std::string> wrong;
  state.table<Allocation>().for_each([&](const Allocation& allocation) {
    auto name = [&] { return fmt::format("run {} of task {}", allocation.id.run, allocation.id.task.to_string()); };
    if (!expected.running.erase(allocation.id)) {
      wrong = fmt::format("there is an allocation for {}, which does not run", name());
      return;
    }
    const Task& task = state.table<Task>().find(allocation.id.task)->record;
    const Run& run = task.runs.back();
    if (allocation.worker != fmt::format("{}/{}", run.worker_group, run.worker_id)) {
      wrong = fmt::format("the allocation of {} is on another worker than the run", name());
    }
    if (allocation.task_sequence != task.sequence) wrong = fmt::format("the allocation of {} has a wrong key", name());
    if (!allocation.token.empty() &&
        !state.allocations_by(allocation.worker, allocation.token).contains(allocation.id)) {
      wrong = fmt::format("the claim token does not lead to {}", name());
    }
    if (!allocation.node.empty()) expected.allocations_on[allocation.node].insert(allocation.id);
  });
  if (wrong) return wrong;
  if (!expected.running.empty()) {
    const AllocationId& id = *expected.running.begin();
    return fmt::format("run {} of task {} runs without an allocation", id.run, id.task.to_string());
  }
  std::size_t on_nodes = 0;
  for (const auto& [node, allocations] : expected.allocations_on) {
    if (state.allocations_on(node) != allocations) return "the index of allocations by node is wrong";
    on_nodes += allocations.size();
  }
  state.table<Node>().for_each([&](const Node& node) {
    on_nodes -= std::min(on_nodes, state.allocations_on(node.id).size());
    if (state.node_of_worker(node.worker_group, node.worker_id) != node.id) {
      wrong = fmt::format("the index of workers does not lead to node {}", node.name);
    }
    if (!state.is_native_queue(node.task_queue)) wrong = fmt::format("queue {} is not native", node.task_queue);
  });
  if (!wrong && on_nodes != 0) wrong = "there are allocations on a node that is not known";
  return wrong;
}

}  // namespace

std::optional<std::string> check_state(const State& state) {
  Expected expected;
  std::optional<std::string> wrong;
  UnderWay work = under_way(state);
  state.table<Task>().for_each([&](const Task& task) {
    if (auto problem = check_runs(task)) wrong = std::move(problem);
    if (auto problem = check_waits(task, state.last_time())) wrong = std::move(problem);
    if (wrong) return;
    if (auto problem = check_dependencies(state, task, work)) wrong = std::move(problem);
    expect(expected, task);
  });
  if (wrong) return wrong;
  if (!same_lines(expected, state)) return "the lines of pending tasks are wrong";
  auto dependents = [&](TaskId id) -> const State::TaskLine& { return state.dependents_of(id); };
  if (!same_task_lines(expected.dependents, state, dependents)) return "the index of dependents is wrong";
  auto open = [&](TaskGroupId id) -> const State::TaskLine& { return state.open_in_group(id); };
  if (!same_task_lines(expected.open_in_group, state, open)) return "the index of open tasks by group is wrong";
  if (!same_keys(expected.deadlines, state.deadlines())) return "the index of deadlines is wrong";
  if (!same_keys(expected.claims, state.claims())) return "the index of claims is wrong";
  if (state.resolved_in_memory() < expected.resolved) return "a resolved task would never be forgotten";
  if (auto problem = check_allocations(state, expected)) return problem;
  if (state.works().size() != state.table<Work>().size()) return "the index of work is wrong";
  std::size_t artifacts = 0;
  state.table<Artifact>().for_each([&](const Artifact& artifact) {
    ++artifacts;
    if (!state.artifacts_of(artifact.id.task).contains({artifact.id.run, artifact.id.name})) {
      wrong = fmt::format("artifact \"{}\" is not in its task's index", artifact.id.name);
    }
    if (!state.table<Task>().find(artifact.id.task)) wrong = "an artifact is in memory without its task";
  });
  if (wrong) return wrong;
  std::size_t indexed = 0;
  state.table<Task>().for_each([&](const Task& task) { indexed += state.artifacts_of(task.id).size(); });
  if (indexed != artifacts) return "the index of artifacts has more than there are";
  return std::nullopt;
}

}  // namespace gantry::state
