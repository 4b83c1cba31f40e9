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
  std::size_t resolved = 0;
};

std::optional<std::string> check_runs(const Task& task) {
  int retried = 0;
  for (std::size_t i = 0; i < task.runs.size(); ++i) {
    const Run& run = task.runs[i];
    bool resolved = wire::is_resolved(run.state);
    bool last = i + 1 == task.runs.size();
    bool retry = run.reason_created == ReasonCreated::retry || run.reason_created == ReasonCreated::task_retry;
    retried += retry ? 1 : 0;
    const char* wrong = nullptr;
    if (!last && !resolved) wrong = "is not resolved although another follows";
    if (resolved != (run.reason_resolved != ReasonResolved::none)) wrong = "has a state that contradicts its reason";
    if (resolved != (run.resolved != Time())) wrong = "has a time of resolution that contradicts its state";
    if ((run.state == TaskState::running) != (run.taken_until != Time())) wrong = "has a claim but does not run";
    if (run.state == TaskState::running && run.worker_id.empty()) wrong = "runs on no worker";
    if (run.state == TaskState::pending && !run.worker_id.empty()) wrong = "is pending but has a worker";
    if (wrong) return fmt::format("run {} of task {} {}", i, task.id.to_string(), wrong);
  }
  if (task.retries_left < 0 || task.retries_left + retried != task.retries) {
    return fmt::format("task {} has {} retries left after {} of {}", task.id.to_string(), task.retries_left, retried,
                       task.retries);
  }
  return std::nullopt;
}

template <class Key>
bool same_keys(const std::set<Key>& expected, const OrderedSet<Key>& index) {
  return expected.size() == index.size() && std::equal(expected.begin(), expected.end(), index.begin());
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
    auto rank = static_cast<std::uint8_t>(wire::priority_count - 1 - static_cast<int>(task.priority));
    expected.pending[task.task_queue].insert({rank, task.sequence, task.id});
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
    if (allocation.worker != run.worker_group + "/" + run.worker_id) {
      wrong = fmt::format("the allocation of {} is on another worker than the run", name());
    }
    if (allocation.task_sequence != task.sequence) wrong = fmt::format("the allocation of {} has a wrong key", name());
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
  state.table<Task>().for_each([&](const Task& task) {
    if (auto problem = check_runs(task)) wrong = std::move(problem);
    expect(expected, task);
  });
  if (wrong) return wrong;
  if (!same_lines(expected, state)) return "the lines of pending tasks are wrong";
  if (!same_keys(expected.deadlines, state.deadlines())) return "the index of deadlines is wrong";
  if (!same_keys(expected.claims, state.claims())) return "the index of claims is wrong";
  if (state.resolved_in_memory() < expected.resolved) return "a resolved task would never be forgotten";
  if (auto problem = check_allocations(state, expected)) return problem;
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
