#include "core/queue/explain.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/queue/limits.h"

namespace gantry::queue {

using state::Node;
using state::State;
using state::Task;
using state::TaskState;
using state::Worker;

namespace {

void explain_waiting(const State& state, const Task& task, Explanation& why) {
  if (!task.waits) return;
  why.all_completed = !task.waits->any_outcome;
  why.unmet = task.waits->left;
  const auto& on = *task.waits->on;
  bool on_itself = std::ranges::find(on, task.id) != on.end();
  why.until_scheduled = task.waits->until_scheduled || on_itself;
  if (on_itself) --why.unmet;
  for (TaskId id : unmet_dependencies(task)) {
    const auto* row = state.table<Task>().find(id);
    why.waits_for.push_back({id, row ? std::optional(row->record.state()) : std::nullopt});
  }
}

Explanation::Claimer node_as_claimer(const State& state, const Node& node, const Task& task) {
  int slots = node.slots;
  std::int64_t memory_bytes = node.memory_bytes;
  for (const auto& id : state.allocations_on(node.id)) {
    --slots;
    memory_bytes -= state.table<state::Allocation>().find(id)->record.memory_bytes;
  }
  Explanation::Claimer claimer;
  claimer.node = node.id;
  claimer.worker = node.worker_group + "/" + node.worker_id;
  claimer.large_enough = task.memory_bytes <= node.memory_bytes && node.slots > 0;
  claimer.has_room = slots > 0 && task.memory_bytes <= memory_bytes;
  return claimer;
}

void explain_claimers(const State& state, const Task& task, Explanation& why) {
  state.table<Node>().for_each([&](const Node& node) {
    if (task.task_queue == node.task_queue) why.claimers.push_back(node_as_claimer(state, node, task));
  });
  state.table<Worker>().for_each([&](const Worker& worker) {
    if (task.task_queue != worker.task_queue || worker.expires <= state.last_time()) return;
    if (!state.node_of_worker(worker.group, worker.worker_id).empty()) return;
    const auto* activity = state.activity(worker.key());
    Time last_active = std::max(worker.last_active, activity ? activity->last_active : Time());
    bool may = worker.quarantine_until <= state.last_time();
    why.claimers.push_back({NodeId(), worker.group + "/" + worker.worker_id, may, may, last_active});
  });
  why.fits_somewhere = std::ranges::any_of(why.claimers, &Explanation::Claimer::large_enough);
  std::ranges::sort(why.claimers, [](const auto& a, const auto& b) {
    auto merit = [](const auto& claimer) { return std::tuple(!claimer.has_room, !claimer.large_enough); };
    return std::tuple(merit(a), a.worker) < std::tuple(merit(b), b.worker);
  });
  if (why.claimers.size() > explain_claimers_max) why.claimers.resize(explain_claimers_max);
}

void explain_line(const State& state, const Task& task, Explanation& why) {
  const auto& line = state.pending(task.task_queue);
  why.in_line = line.size();
  why.ahead = line.rank(state::pending_key(task));
}

void explain_last_run(const Task& task, Explanation& why) {
  for (std::size_t i = task.runs.size(); i-- > 0;) {
    const state::Run& run = task.runs[i];
    if (run.worker_id.empty()) continue;
    why.last_run = static_cast<int>(i);
    why.last_worker = fmt::format("{}/{}", run.worker_group, run.worker_id);
    why.last_started = run.started;
    why.last_taken_until = run.taken_until;
    return;
  }
}

std::string plural(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string waiting_summary(const Explanation& why) {
  if (why.unmet == 0 && why.until_scheduled) return "unscheduled: it waits for somebody to schedule it";
  if (why.unmet == 0) return "unscheduled: its deadline has passed";
  std::string text = fmt::format("unscheduled: it waits for {} to {}", plural(why.unmet, "task"),
                                 why.all_completed ? "complete" : "be resolved");
  auto failed = [](const auto& dependency) {
    return dependency.state == TaskState::failed || dependency.state == TaskState::exception;
  };
  auto count = static_cast<std::size_t>(std::ranges::count_if(why.waits_for, failed));
  if (why.all_completed && count > 0) {
    text += fmt::format("; {} of them ended without success and must be run again", count);
  }
  if (why.until_scheduled) text += "; and for somebody to schedule it";
  return text;
}

std::string pending_summary(const Task& task, const Explanation& why) {
  std::string text = fmt::format("pending: {} ahead of it in {}", plural(why.ahead, "task"), task.task_queue);
  if (why.claimers.empty()) return text + "; nobody claims from this queue";
  if (!why.fits_somewhere) return text + "; it is larger than any node there";
  bool room = std::ranges::any_of(why.claimers, &Explanation::Claimer::has_room);
  return text + (room ? "; there is room for it" : "; all who claim from it are full");
}

std::string summary_of(const Task& task, const Explanation& why) {
  switch (why.state) {
    case TaskState::unscheduled: return waiting_summary(why);
    case TaskState::pending: return pending_summary(task, why);
    case TaskState::running:
      return fmt::format("running: on {}, which has it until {} or longer", why.last_worker,
                         format_time(why.last_taken_until));
    default: break;
  }
  std::string_view reason = name_of(task.runs.back().reason_resolved);
  if (reason == name_of(why.state)) return fmt::format("{}: nothing is left to do", reason);
  return fmt::format("{}: {}", name_of(why.state), reason);
}

}  // namespace

std::vector<TaskId> unmet_dependencies(const Task& task) {
  std::vector<TaskId> unmet;
  if (!task.waits) return unmet;
  const auto& on = *task.waits->on;
  for (std::size_t i = 0; i < on.size() && unmet.size() < explain_dependencies_max; ++i) {
    if (!task.waits->is_met(i) && on[i] != task.id) unmet.push_back(on[i]);
  }
  return unmet;
}

Explanation explain(const State& state, const Task& task) {
  Explanation why;
  why.state = task.state();
  why.priority = task.priority;
  why.pulled = task.pulled;
  why.deadline = task.deadline;
  why.retries_left = task.retries_left;
  explain_last_run(task, why);
  if (why.state == TaskState::unscheduled) explain_waiting(state, task, why);
  if (why.state == TaskState::pending) explain_line(state, task, why);
  if (!task.resolved()) explain_claimers(state, task, why);
  why.summary = summary_of(task, why);
  return why;
}

}  // namespace gantry::queue
