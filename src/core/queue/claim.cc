#include "core/queue/claim.h"

#include <fmt/format.h>

#include "base/planted.h"
#include "core/queue/limits.h"
#include "core/queue/run.h"

namespace gantry::queue {
namespace {

using state::Change;
using state::Task;
using state::TaskState;

/// What is left of a native node; a foreign worker is bounded by what it asks for alone.
struct Room {
  bool bounded = false;
  int slots = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t memory_bytes_max = 0;  // of the empty node

  bool fits(const Task& task) const { return !bounded || (slots > 0 && task.memory_bytes <= memory_bytes); }
  bool can_ever_fit(const Task& task) const { return !bounded || task.memory_bytes <= memory_bytes_max; }
  void take(const Task& task) {
    --slots;
    memory_bytes -= task.memory_bytes;
  }
};

Room room_on(const state::State& state, NodeId id) {
  Room room;
  if (id.empty()) return room;
  room.bounded = true;
  const auto* node = state.table<state::Node>().find(id);
  if (!node) return room;
  room.slots = node->record.slots;
  room.memory_bytes = node->record.memory_bytes;
  room.memory_bytes_max = node->record.memory_bytes;
  for (const auto& allocation_id : state.allocations_on(id)) {
    --room.slots;
    room.memory_bytes -= state.table<state::Allocation>().find(allocation_id)->record.memory_bytes;
  }
  return room;
}

/// What a claim changes: the task and its allocation.
constexpr std::size_t claim_operations = 2;

Claim take(state::Transaction& tx, const Task& task, const ClaimRequest& request) {
  Claim claim{task.id, static_cast<int>(task.runs.size()) - 1, task.sequence, tx.now() + claim_term, false};
  state::Allocation allocation;
  allocation.id = {task.id, claim.run};
  allocation.task_sequence = task.sequence;
  allocation.node = request.node;
  allocation.worker = fmt::format("{}/{}", request.worker_group, request.worker_id);
  allocation.memory_bytes = task.memory_bytes;
  allocation.cpus = task.cpus;
  allocation.token = request.token;
  if (!tx.find<state::Allocation>(allocation.id)) tx.insert(std::move(allocation));
  tx.update<Task>(task.id, [&](Task& changed) {
    state::Run& run = changed.runs.back();
    if (!planted(PlantedBug::claim_keeps_pending)) run.state = TaskState::running;
    run.worker_group = request.worker_group;
    run.worker_id = request.worker_id;
    run.started = tx.now();
    run.taken_until = claim.taken_until;
  });
  tx.add_change({Change::Kind::task_running, claim.task, claim.run, {}, request.node});
  return claim;
}

/// The next in line, or nullptr. Tasks that are larger than the whole node are left to other nodes.
const Task* next_pending(const state::State& state, const std::string& task_queue, const Room& room) {
  const auto& line = state.pending(task_queue);
  const auto& tasks = state.table<Task>();
  if (line.empty()) return nullptr;
  if (planted(PlantedBug::youngest_first)) return &tasks.find(line.back().task)->record;
  int visits = 0;
  for (const auto& entry : line) {
    if (++visits > oversized_visits_max) break;
    const Task& task = tasks.find(entry.task)->record;
    if (room.can_ever_fit(task)) return &task;
  }
  return nullptr;
}

/// What this worker's claim with the same token has got before and still has, prolonged.
std::vector<Claim> claimed_before(state::Transaction& tx, const ClaimRequest& request) {
  std::vector<Claim> claims;
  if (request.token.empty() || planted(PlantedBug::claim_token_ignored)) return claims;
  std::string worker = fmt::format("{}/{}", request.worker_group, request.worker_id);
  for (const auto& id : tx.state().allocations_by(worker, request.token)) {
    const Task& task = *tx.find<Task>(id.task);
    if (task.task_queue != request.task_queue || !tx.has_room(claim_operations)) continue;
    // Later than before in any case: an unclaim() of the first answer knows the claim by its end.
    Time until = std::max(tx.now() + claim_term, task.runs.back().taken_until + Duration(1));
    claims.push_back({id.task, id.run, task.sequence, until, true});
    tx.update<Task>(id.task, [&](Task& changed) { changed.runs.back().taken_until = until; });
  }
  return claims;
}

}  // namespace

std::vector<Claim> claim(state::Transaction& tx, const ClaimRequest& request) {
  std::vector<Claim> claims = claimed_before(tx, request);
  if (!claims.empty()) return claims;
  Room room = room_on(tx.state(), request.node);
  int tasks_max = std::min(request.tasks_max, claim_tasks_max);
  while (static_cast<int>(claims.size()) < tasks_max && tx.has_room(claim_operations)) {
    const Task* task = next_pending(tx.state(), request.task_queue, room);
    if (!task || !room.fits(*task) || task->deadline <= tx.now()) break;
    room.take(*task);
    claims.push_back(take(tx, *task, request));
    if (planted(PlantedBug::claim_keeps_pending)) break;
  }
  return claims;
}

bool can_claim(const state::State& state, const std::string& task_queue, NodeId node) {
  Room room = room_on(state, node);
  const Task* task = next_pending(state, task_queue, room);
  return task && room.fits(*task);
}

Result<Claim> claim_run(state::Transaction& tx, TaskId id, int run, const ClaimRequest& worker) {
  TRY(const Task* task, find_run(tx, id, run));
  auto conflict = [&](std::string_view why) {
    return Error(ErrorCode::conflict, fmt::format("run {} of task {} cannot be claimed: {}", run, id.to_string(), why));
  };
  if (task->deadline <= tx.now()) return conflict("the task's deadline has passed");
  const state::Run& found = task->runs[static_cast<std::size_t>(run)];
  if (found.state == TaskState::running && found.worker_group == worker.worker_group &&
      found.worker_id == worker.worker_id) {
    return Claim{id, run, task->sequence, found.taken_until, true};
  }
  if (found.state != TaskState::pending) {
    bool running = found.state == TaskState::running;
    return conflict(running ? "another worker has it" : fmt::format("it is {}", name_of(found.reason_resolved)));
  }
  Room room = room_on(tx.state(), worker.node);
  if (!room.fits(*task)) return conflict("it does not fit onto the node now");
  ClaimRequest request = worker;
  request.token.clear();
  return take(tx, *task, request);
}

Result<Time> reclaim(state::Transaction& tx, TaskId id, int run) {
  TRY(const Task* task, find_run(tx, id, run));
  const state::Run& found = task->runs[static_cast<std::size_t>(run)];
  if (found.state != TaskState::running) {
    std::string_view now =
        found.reason_resolved == state::ReasonResolved::none ? name_of(found.state) : name_of(found.reason_resolved);
    return Error(ErrorCode::conflict, fmt::format("run {} of task {} is not running: {}", run, id.to_string(), now),
                 "stop working on it");
  }
  Time taken_until = tx.now() + claim_term;
  tx.update<Task>(id, [&](Task& changed) { changed.runs[static_cast<std::size_t>(run)].taken_until = taken_until; });
  return taken_until;
}

void unclaim(state::Transaction& tx, const Claim& claim, const std::string& worker_group,
             const std::string& worker_id) {
  const Task* task = tx.find<Task>(claim.task);
  if (!task || task->runs.empty() || claim.again) return;
  const state::Run& last = task->runs.back();
  bool untouched = static_cast<int>(task->runs.size()) == claim.run + 1 && last.state == TaskState::running &&
                   last.worker_group == worker_group && last.worker_id == worker_id &&
                   last.taken_until == claim.taken_until;
  if (!untouched && !planted(PlantedBug::unclaim_without_check)) return;
  tx.update<Task>(claim.task, [&](Task& changed) {
    state::Run& run = changed.runs.back();
    run.state = TaskState::pending;
    run.worker_group.clear();
    run.worker_id.clear();
    run.started = Time();
    run.taken_until = Time();
  });
  tx.erase<state::Allocation>({claim.task, claim.run});
  tx.add_change({Change::Kind::task_pending, claim.task, claim.run, tx.find<Task>(claim.task)->task_queue, {}});
}

}  // namespace gantry::queue
