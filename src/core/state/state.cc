#include "core/state/state.h"

#include <bit>

namespace gantry::state {
namespace {

const State::PendingLine no_pending;
const State::ArtifactNames no_artifacts;
const std::set<AllocationId> no_allocations;
const State::TaskLine no_tasks;

bool is_pending(const Task* task) { return task && task->state() == TaskState::pending; }

std::optional<Time> deadline_of(const Task* task) {
  if (!task || task->resolved()) return std::nullopt;
  return task->deadline;
}

std::optional<Time> claim_end_of(const Task* task) {
  if (!task || task->state() != TaskState::running) return std::nullopt;
  return task->runs.back().taken_until;
}

/// Whether it stands in the line of its group's open tasks.
bool open_in_its_group(const Task* task) { return task && !task->resolved() && task->group != task->id; }

template <class Map, class Id>
void enter(Map& lines, Id line, const Task& task) {
  lines[line].insert({task.sequence, task.id});
}

template <class Map, class Id>
void leave(Map& lines, Id line, const Task& task) {
  auto found = lines.find(line);
  if (found == lines.end()) return;
  found->second.erase({task.sequence, task.id});
  if (found->second.empty()) lines.erase(found);
}

void move_entry(State::TimeIndex& index, TaskId id, std::optional<Time> before, std::optional<Time> after) {
  if (before == after) return;
  if (before) index.erase({*before, id});
  if (after) index.insert({*after, id});
}

}  // namespace

PendingKey pending_key(const Task& task) {
  auto rank = static_cast<std::uint8_t>(wire::priority_count - 1 - static_cast<int>(task.effective_priority()));
  return {rank, task.sequence, task.id};
}

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

const State::TaskLine& State::dependents_of(TaskId task) const {
  auto found = dependents_.find(task);
  return found == dependents_.end() ? no_tasks : found->second;
}

const State::TaskLine& State::open_in_group(TaskGroupId group) const {
  auto found = open_in_group_.find(group);
  return found == open_in_group_.end() ? no_tasks : found->second;
}

const std::set<AllocationId>& State::allocations_by(const std::string& worker, const std::string& token) const {
  auto found = allocations_by_token_.find({worker, token});
  return found == allocations_by_token_.end() ? no_allocations : found->second;
}

const WorkerActivity* State::activity(const Worker::Id& worker) const {
  auto found = activity_.find(worker);
  return found == activity_.end() ? nullptr : &found->second;
}

void State::reindex_waits(const Task* before, const Task* after) {
  const Waits* old_waits = before && !before->resolved() ? before->waits.get() : nullptr;
  const Waits* new_waits = after && !after->resolved() ? after->waits.get() : nullptr;
  if (old_waits == new_waits) return;
  const Waits& any = new_waits ? *new_waits : *old_waits;
  GANTRY_ASSERT(any.on);
  for (std::size_t word = 0; word < any.met.size(); ++word) {
    std::uint64_t open_before = old_waits ? ~old_waits->met[word] : 0;
    std::uint64_t open_after = new_waits ? ~new_waits->met[word] : 0;
    for (std::uint64_t differs = open_before ^ open_after; differs; differs &= differs - 1) {
      std::size_t index = word * 64 + static_cast<std::size_t>(std::countr_zero(differs));
      if (index >= any.on->size()) break;
      TaskId dependency = (*any.on)[index];
      if (open_after >> (index % 64) & 1)
        enter(dependents_, dependency, *after);
      else
        leave(dependents_, dependency, *before);
    }
  }
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
  moves_in_line_ += moved ? 1 : 0;
  if (pending_before && (!pending_after || moved)) index_pending(*before, false);
  if (pending_after && (!pending_before || moved)) index_pending(*after, true);
  move_entry(deadlines_, id, deadline_of(before), deadline_of(after));
  move_entry(claims_, id, claim_end_of(before), claim_end_of(after));
  reindex_waits(before, after);
  if (open_in_its_group(before) != open_in_its_group(after)) {
    if (open_in_its_group(after))
      enter(open_in_group_, after->group, *after);
    else
      leave(open_in_group_, before->group, *before);
  }
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
  if (before && !before->token.empty()) {
    auto by_token = allocations_by_token_.find({before->worker, before->token});
    by_token->second.erase(before->id);
    if (by_token->second.empty()) allocations_by_token_.erase(by_token);
  }
  if (after && !after->token.empty()) allocations_by_token_[{after->worker, after->token}].insert(after->id);
}

void State::reindex(const Work* before, const Work* after) {
  if (before && !after) works_.erase(before->id);
  if (after && !before) works_.insert(after->id);
}

void State::reindex(const Worker* before, const Worker* after) {
  if (before && !after) activity_.erase(before->key());
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

void State::load_clock(std::uint64_t last_commit, std::uint64_t last_sequence, std::uint64_t last_event,
                       Time last_time) {
  last_commit_ = last_commit;
  last_sequence_ = last_sequence;
  last_event_ = last_event;
  last_time_ = last_time;
}

void State::forget_cold(std::size_t keep, std::uint64_t durable_commit) {
  AllRecords::for_each([&]<class Record>() {
    if constexpr (ColdRecord<Record>) {
      auto& arrivals = mutable_table<Record>().arrivals_;
      std::size_t visits = arrivals.size();
      while (arrivals.size() > keep && visits-- > 0) {
        typename Record::Id id = std::move(arrivals.front());
        arrivals.pop_front();
        const Row<Record>* row = table<Record>().find(id);
        if (!row) continue;
        if (row->version > durable_commit) {
          arrivals.push_back(std::move(id));
          continue;
        }
        set<Record>(id, std::nullopt);
      }
    }
  });
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
