#include "sim/state_watch.h"

#include <fmt/format.h>

#include "core/queue/limits.h"
#include "core/state/check.h"

namespace gantry::sim {
namespace {

using state::ReasonResolved;
using state::Run;
using state::Task;
using state::TaskState;

constexpr std::int64_t second_us = 1'000'000;
/// How long a task may be pending beside a worker that waits for it.
constexpr std::int64_t wake_us_max = 1 * second_us;
/// How late a deadline may be kept by a server without trouble.
constexpr Duration deadline_late_max = seconds(5);
/// A restarted node's first poll may take so long to be carried out.
constexpr std::int64_t release_us_max = 120 * second_us;
constexpr std::int64_t node_term_us = queue::node_term.count() * 1000;
constexpr std::string_view claim_path = "/api/queue/v1/claim-work/";
constexpr std::string_view node_path = "/v1/nodes/";

}  // namespace

void StateWatch::fail(TaskId id, std::string_view what) {
  fail_(fmt::format("the server's state: task {}: {}", id.to_string(), what));
}

void StateWatch::opened(Time server_now) {
  listens_again(server_now);
  start_over_ = true;
  last_commit_ = last_durable_ = failed_groups_ = 0;
}

void StateWatch::listens_again(Time server_now) {
  listening_since_ = server_now;
  listening_since_us_ = clock_.now_us();
  trouble();
}

void StateWatch::request_arrived(const Exchange& exchange) {
  std::string_view path = exchange.target;
  if (path.starts_with(claim_path)) {
    waiting_[exchange.id] = {std::string(path.substr(claim_path.size())), exchange.link->name()};
  } else if (path.starts_with(node_path) && path.ends_with("/poll")) {
    path.remove_prefix(node_path.size());
    if (auto node = NodeId::parse(path.substr(0, path.find('/')))) {
      Polls& polls = polls_[*node];
      polls.last_us = clock_.now_us();
      if (exchange.body.find("\"restarted\":true") != std::string::npos) polls.restarted_us = clock_.now_us();
    }
  }
}

void StateWatch::look(server::Server& server, Time server_now) {
  const state::State& state = server.state();
  const auto& commits = server.services().commits;
  if (commits.metrics().failed_groups != failed_groups_) {
    failed_groups_ = commits.metrics().failed_groups;
    start_over_ = true;
    trouble();
  }
  bool changed = state.last_commit() != last_commit_ || commits.durable() != last_durable_ || start_over_;
  if (changed) {
    last_commit_ = state.last_commit();
    last_durable_ = commits.durable();
    look_at_tasks(server);
    if (auto wrong = check_state(state)) fail_("the server's state: " + *wrong);
    check_presence(state);
    check_capacity(state);
    if (!start_over_) check_order(state);
    remember_pending(state);
    start_over_ = false;
  }
  dependencies_.look(state, server_now, clock_.now_us(), last_trouble_us_);
  groups_.look(state, commits.durable() == state.last_commit(), clock_.now_us(), last_trouble_us_);
  check_deadlines(state, server_now);
  check_waiting(state, server_now);
}

void StateWatch::look_at_tasks(server::Server& server) {
  taken_now_.clear();
  if (start_over_) {
    mirrors_.clear();
    dependencies_.start_over();
  }
  server.state().table<Task>().for_each([&](const Task& task) { look_at_task(server, task); });
}

void StateWatch::look_at_task(server::Server& server, const Task& task) {
  std::uint64_t version = server.state().table<Task>().find(task.id)->version;
  bool settled = server.services().commits.is_settled(version);
  auto [place, fresh] = mirrors_.try_emplace(task.id);
  Mirror& mirror = place->second;
  if (!fresh && mirror.version == version && mirror.settled == settled) return;
  if (fresh) groups_.saw_new_task(task);
  if (!fresh && mirror.version != version) check_change(mirror.task, task);
  dependencies_.saw(fresh ? nullptr : &mirror.task, task);
  mirror.task = task;
  mirror.version = version;
  mirror.settled = settled;
  if (settled) oracle_.saw_task(seen_of(task), clock_.now_us(), clock_.now_us(), "the server's state");
}

void StateWatch::check_presence(const state::State& state) {
  std::vector<TaskId> missing;
  for (TaskId id : oracle_.open()) {
    if (!state.table<Task>().find(id)) missing.push_back(id);
  }
  for (TaskId id : missing) {  // resolved and forgotten since the last look, or lost
    auto task = read_cold_(id);
    if (!task) {
      fail(id, "it was acknowledged, is not resolved, and is not in memory");
      continue;
    }
    oracle_.saw_task(seen_of(*task), clock_.now_us(), clock_.now_us(), "the disk");
    dependencies_.ended(id);
  }
}

void StateWatch::check_change(const Task& before, const Task& after) {
  if (after.runs.size() < before.runs.size()) return fail(after.id, "it has lost a run");
  for (std::size_t i = 0; i < before.runs.size(); ++i) {
    check_run_change(after, static_cast<int>(i), before.runs[i], after.runs[i]);
  }
  if (after.state() != TaskState::running) return;
  bool was_taken = before.runs.size() == after.runs.size() && before.state() == TaskState::running;
  if (!was_taken) taken_now_.push_back(after.id);
}

void StateWatch::check_run_change(const Task& task, int run, const Run& before, const Run& after) {
  auto wrong = [&](std::string_view what) { fail(task.id, fmt::format("run {} {}", run, what)); };
  bool same_worker = before.worker_group == after.worker_group && before.worker_id == after.worker_id;
  if (wire::is_resolved(before.state)) {
    bool same = before.state == after.state && before.reason_resolved == after.reason_resolved && same_worker &&
                before.resolved == after.resolved;
    if (!same) wrong("was resolved and has changed");
    return;
  }
  if (before.state == TaskState::pending) {
    bool from_outside =
        after.reason_resolved == ReasonResolved::canceled || after.reason_resolved == ReasonResolved::deadline_exceeded;
    if (wire::is_resolved(after.state) && after.worker_id.empty() && !from_outside) wrong("ended without having run");
    return;
  }
  TaskFacts* facts = oracle_.find(task.id);
  bool received = facts && facts->received_by.contains(run);
  // A claim whose answer could not be delivered is given back, and perhaps taken by another at once.
  if (received && after.state == TaskState::pending) wrong("was taken from the worker that has received its claim");
  if (received && after.state != TaskState::pending && !same_worker) wrong("went from one worker to another");
  if (after.state == TaskState::pending || !same_worker) return;
  if (after.state == TaskState::running && after.taken_until < before.taken_until) wrong("has a shorter lease now");
  if (after.reason_resolved == ReasonResolved::claim_expired) check_expiry(task, run, before, after);
}

void StateWatch::check_expiry(const Task& task, int run, const Run& before, const Run& after) {
  bool own_term = after.resolved >= before.taken_until && after.resolved >= listening_since_ + queue::claim_term;
  if (own_term) return;
  auto node = nodes_.find(before.worker_group + "/" + before.worker_id);
  if (node != nodes_.end()) {
    const Polls& polls = polls_[node->second];
    std::int64_t now_us = clock_.now_us();
    bool silent = now_us - polls.last_us >= node_term_us && now_us - listening_since_us_ >= node_term_us;
    bool released = polls.restarted_us >= 0 && now_us - polls.restarted_us <= release_us_max;
    if (silent || released) return;
  }
  fail(task.id,
       fmt::format("run {} was taken from {}/{} at {}: its lease lasts until {}, and the server listens since {}", run,
                   before.worker_group, before.worker_id, format_time(after.resolved), format_time(before.taken_until),
                   format_time(listening_since_)));
}

/// By the priorities of now and by those of the last look: either may have changed meanwhile.
bool StateWatch::goes_first(const Task& waits, const Task& taken) const {
  auto before = pending_before_.find(waits.id);
  if (before == pending_before_.end() || before->second.runs != waits.runs.size()) return false;
  wire::Priority least = std::min(before->second.priority, waits.effective_priority());
  wire::Priority most = taken.effective_priority();
  auto taken_before = pending_before_.find(taken.id);
  if (taken_before != pending_before_.end()) most = std::max(most, taken_before->second.priority);
  return least > most || (least == most && waits.sequence < taken.sequence);
}

void StateWatch::check_order(const state::State& state) {
  for (TaskId id : taken_now_) {
    const Task& taken = state.table<Task>().find(id)->record;
    const Run& run = taken.runs.back();
    const state::Node* node = node_of(state, run.worker_group + "/" + run.worker_id);
    for (const auto& key : state.pending(taken.task_queue)) {
      const Task& waits = state.table<Task>().find(key.task)->record;
      if (waits.effective_priority() < taken.effective_priority()) break;
      bool too_large = node && waits.memory_bytes > node->memory_bytes;
      if (too_large || !goes_first(waits, taken)) continue;
      fail(id, fmt::format("it was claimed before task {}, which has waited and goes first", waits.id.to_string()));
    }
  }
}

void StateWatch::remember_pending(const state::State& state) {
  pending_before_.clear();
  for (const auto& [queue, line] : state.pending_lines()) {
    for (const auto& key : line) {
      const Task& task = state.table<Task>().find(key.task)->record;
      pending_before_[key.task] = {task.runs.size(), task.effective_priority()};
    }
  }
}

void StateWatch::check_capacity(const state::State& state) {
  state.table<state::Node>().for_each([&](const state::Node& node) {
    std::int64_t used_bytes = 0;
    const auto& allocations = state.allocations_on(node.id);
    for (const auto& id : allocations) used_bytes += state.table<state::Allocation>().find(id)->record.memory_bytes;
    if (used_bytes > node.memory_bytes || static_cast<int>(allocations.size()) > node.slots) {
      fail_(fmt::format("the server's state: node {} is given more than it has", node.name));
    }
  });
}

void StateWatch::check_deadlines(const state::State& state, Time server_now) {
  if (state.deadlines().empty()) return;
  const auto& [deadline, id] = *state.deadlines().begin();
  if (deadline + deadline_late_max >= server_now) return;
  if (clock_.now_us() - last_trouble_us_ < deadline_late_max.count() * 1000) return;
  fail(id, fmt::format("its deadline {} has passed, it is {}, and it is not resolved", format_time(deadline),
                       format_time(server_now)));
}

const state::Node* StateWatch::node_of(const state::State& state, const std::string& worker) const {
  auto native = nodes_.find(worker);
  if (native == nodes_.end()) return nullptr;
  const auto* node = state.table<state::Node>().find(native->second);
  return node ? &node->record : nullptr;
}

const Task* StateWatch::task_for(const state::State& state, const std::string& queue, const std::string& worker) const {
  const state::Node* node = node_of(state, worker);
  for (const auto& key : state.pending(queue)) {
    const Task& task = state.table<Task>().find(key.task)->record;
    if (!node) return &task;
    if (task.memory_bytes > node->memory_bytes) continue;  // for a larger node
    std::int64_t free_bytes = node->memory_bytes;
    const auto& allocations = state.allocations_on(node->id);
    for (const auto& id : allocations) free_bytes -= state.table<state::Allocation>().find(id)->record.memory_bytes;
    bool fits = static_cast<int>(allocations.size()) < node->slots && task.memory_bytes <= free_bytes;
    return fits ? &task : nullptr;
  }
  return nullptr;
}

void StateWatch::check_waiting(const state::State& state, Time server_now) {
  std::set<std::string> starve;
  for (const auto& [id, claim] : waiting_) {
    if (starve.contains(claim.queue) || !state.pending_lines().contains(claim.queue)) continue;
    const Task* task = task_for(state, claim.queue, claim.worker);
    if (!task || task->deadline <= server_now + seconds(2)) continue;
    starve.insert(claim.queue);
    Starving& starving = starving_[claim.queue];
    if (starving.task != task->id) starving = {task->id, clock_.now_us()};
    std::int64_t since_us = std::max(starving.since_us, last_trouble_us_);
    if (clock_.now_us() - since_us <= wake_us_max) continue;
    fail(task->id, fmt::format("it is pending, and {} waits for a task, for {} already", claim.worker,
                               format_duration(Duration((clock_.now_us() - since_us) / 1000))));
  }
  std::erase_if(starving_, [&](const auto& entry) { return !starve.contains(entry.first); });
}

}  // namespace gantry::sim
