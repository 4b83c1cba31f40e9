#include "core/state/state.h"

namespace gantry::state {
namespace {

const State::PendingLine no_pending;
const State::ArtifactNames no_artifacts;
const std::set<AllocationId> no_allocations;

bool is_pending(const Task* task) { return task && task->state() == TaskState::pending; }

PendingKey pending_key(const Task& task) {
  auto rank = static_cast<std::uint8_t>(wire::priority_count - 1 - static_cast<int>(task.priority));
  return {rank, task.sequence, task.id};
}

std::optional<Time> deadline_of(const Task* task) {
  if (!task || task->resolved()) return std::nullopt;
  return task->deadline;
}

std::optional<Time> claim_end_of(const Task* task) {
  if (!task || task->state() != TaskState::running) return std::nullopt;
  return task->runs.back().taken_until;
}

void move_entry(State::TimeIndex& index, TaskId id, std::optional<Time> before, std::optional<Time> after) {
  if (before == after) return;
  if (before) index.erase({*before, id});
  if (after) index.insert({*after, id});
}

}  // namespace

const State::PendingLine& State::pending(const std::string& task_queue) const {
  auto found = pending_.find(task_queue);
  return found == pending_.end() ? no_pending : found->second;
}

const State::ArtifactNames& State::artifacts_of(TaskId task) const {
  auto found = artifacts_of_.find(task);
  return found == artifacts_of_.end() ? no_artifacts : found->second;
}

const std::set<AllocationId>& State::allocations_on(NodeId node) const {
  auto found = allocations_on_.find(node);
  return found == allocations_on_.end() ? no_allocations : found->second;
}

void State::index_pending(const Task& task, bool add) {
  if (add) {
    pending_[task.task_queue].insert(pending_key(task));
    return;
  }
  auto line = pending_.find(task.task_queue);
  if (line == pending_.end()) return;
  line->second.erase(pending_key(task));
  if (line->second.empty()) pending_.erase(line);
}

void State::reindex(const Task* before, const Task* after) {
  GANTRY_ASSERT(before || after);
  const TaskId id = before ? before->id : after->id;
  bool pending_before = is_pending(before);
  bool pending_after = is_pending(after);
  bool moved = pending_before && pending_after && pending_key(*before) != pending_key(*after);
  if (pending_before && (!pending_after || moved)) index_pending(*before, false);
  if (pending_after && (!pending_before || moved)) index_pending(*after, true);
  move_entry(deadlines_, id, deadline_of(before), deadline_of(after));
  move_entry(claims_, id, claim_end_of(before), claim_end_of(after));
  if (after && after->resolved() && !(before && before->resolved())) resolved_.push_back(id);
  if (!before) artifacts_loaded_.insert(id);  // a new task has none; load() takes this back for stored ones
  if (!after) artifacts_loaded_.erase(id);
}

void State::reindex(const Artifact* before, const Artifact* after) {
  GANTRY_ASSERT(before || after);
  const ArtifactId& id = before ? before->id : after->id;
  if (before && !after) {
    auto names = artifacts_of_.find(id.task);
    names->second.erase({id.run, id.name});
    if (names->second.empty()) artifacts_of_.erase(names);
  } else if (after && !before) {
    artifacts_of_[id.task].emplace(id.run, id.name);
  }
}

void State::reindex(const Allocation* before, const Allocation* after) {
  if (before && !before->node.empty()) {
    auto on_node = allocations_on_.find(before->node);
    on_node->second.erase(before->id);
    if (on_node->second.empty()) allocations_on_.erase(on_node);
  }
  if (after && !after->node.empty()) allocations_on_[after->node].insert(after->id);
}

void State::reindex(const Node* before, const Node* after) {
  if (before) {
    count_native_queue(before->task_queue, -1);
    workers_.erase({before->worker_group, before->worker_id});
  }
  if (after) {
    count_native_queue(after->task_queue, 1);
    workers_[{after->worker_group, after->worker_id}] = after->id;
  }
}

NodeId State::node_of_worker(const std::string& worker_group, const std::string& worker_id) const {
  if (workers_.empty()) return {};
  auto found = workers_.find({worker_group, worker_id});
  return found == workers_.end() ? NodeId() : found->second;
}

void State::count_native_queue(const std::string& task_queue, int by) {
  int& count = native_queues_[task_queue];
  count += by;
  if (count == 0) native_queues_.erase(task_queue);
}

void State::load(Task task) {
  if (table<Task>().find(task.id)) return;
  TaskId id = task.id;
  set<Task>(id, Row<Task>{std::move(task), 0});
  artifacts_loaded_.erase(id);
}

void State::load(Artifact artifact) {
  if (table<Artifact>().find(artifact.id)) return;
  ArtifactId id = artifact.id;
  set<Artifact>(id, Row<Artifact>{std::move(artifact), 0});
}

void State::load(Allocation allocation) {
  AllocationId id = allocation.id;
  set<Allocation>(id, Row<Allocation>{std::move(allocation), 0});
}

void State::load(Node node) {
  NodeId id = node.id;
  set<Node>(id, Row<Node>{std::move(node), 0});
}

void State::load_clock(std::uint64_t last_commit, std::uint64_t last_sequence, Time last_time) {
  last_commit_ = last_commit;
  last_sequence_ = last_sequence;
  last_time_ = last_time;
}

void State::forget_resolved(std::size_t keep, std::uint64_t durable_commit) {
  std::size_t visits = resolved_.size();
  while (resolved_.size() > keep && visits-- > 0) {
    TaskId id = resolved_.front();
    resolved_.pop_front();
    const Row<Task>* row = table<Task>().find(id);
    if (!row || !row->record.resolved()) continue;
    bool durable = row->version <= durable_commit;
    ArtifactNames names = artifacts_of(id);
    for (const auto& [run, name] : names) {
      durable = durable && table<Artifact>().find({id, run, name})->version <= durable_commit;
    }
    if (!durable) {
      resolved_.push_back(id);
      continue;
    }
    for (const auto& [run, name] : names) set<Artifact>({id, run, name}, std::nullopt);
    set<Task>(id, std::nullopt);
  }
}

}  // namespace gantry::state
