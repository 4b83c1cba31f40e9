#include "sim/oracle.h"

#include <algorithm>

#include <fmt/format.h>

namespace gantry::sim {
namespace {

using wire::ReasonCreated;
using wire::ReasonResolved;
using wire::TaskState;

std::string describe(TaskState state, ReasonResolved reason) {
  return reason == ReasonResolved::none ? std::string(name_of(state))
                                        : fmt::format("{} ({})", name_of(state), name_of(reason));
}

bool is_retry(ReasonCreated reason) { return reason == ReasonCreated::retry || reason == ReasonCreated::task_retry; }

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value ? std::string_view(value->as_string()) : std::string_view();
}

Time time_of(const json::object& object, std::string_view key) {
  return parse_time(text_of(object, key)).value_or(Time());
}

}  // namespace

SeenTask seen_of(const state::Task& task) {
  SeenTask seen{task.id, task.retries_left, task.priority, task.deadline, {}};
  for (const state::Run& run : task.runs) {
    std::string worker = run.worker_group.empty() ? "" : run.worker_group + "/" + run.worker_id;
    seen.runs.push_back(
        {run.state, run.reason_created, run.reason_resolved, std::move(worker), run.taken_until, run.resolved});
  }
  return seen;
}

SeenTask seen_of(const json::value& status) {
  const json::object& object = status.as_object();
  SeenTask seen;
  seen.id = TaskId::parse(text_of(object, "taskId")).value();
  seen.retries_left = object.at("retriesLeft").to_number<int>();
  seen.priority = wire::parse_priority(text_of(object, "priority")).value();
  seen.deadline = time_of(object, "deadline");
  for (const json::value& element : object.at("runs").as_array()) {
    const json::object& run = element.as_object();
    SeenRun seen_run{wire::parse_task_state(text_of(run, "state")).value(),
                     wire::parse_reason_created(text_of(run, "reasonCreated")).value(),
                     wire::parse_reason_resolved(text_of(run, "reasonResolved")).value_or(ReasonResolved::none),
                     {},
                     time_of(run, "takenUntil"),
                     time_of(run, "resolved")};
    if (run.contains("workerGroup")) {
      seen_run.worker = fmt::format("{}/{}", text_of(run, "workerGroup"), text_of(run, "workerId"));
    }
    seen.runs.push_back(std::move(seen_run));
  }
  return seen;
}

void Oracle::fail(std::string_view where, TaskId id, std::string_view what) {
  fail_(fmt::format("{}: task {}: {}", where, id.to_string(), what));
}

TaskFacts& Oracle::plan(TaskId id, wire::TaskDefinition definition) {
  TaskFacts& facts = tasks_[id];
  facts.id = id;
  facts.definition = std::move(definition);
  by_id_[id] = &facts;
  return facts;
}

TaskFacts* Oracle::find(TaskId id) {
  auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

void Oracle::cancel_asked(TaskId id) { find(id)->cancel_asked = true; }

void Oracle::report_asked(wire::RunRef run, ReasonResolved reason) {
  find(run.task)->reports_asked.emplace(run.run, reason);
}

void Oracle::check_retries(const TaskFacts& facts, const SeenTask& task, std::string_view where) {
  auto retried = std::ranges::count_if(task.runs, [](const SeenRun& run) { return is_retry(run.created); });
  if (task.retries_left + retried == facts.definition.retries && task.retries_left >= 0) return;
  fail(where, task.id,
       fmt::format("retries: {} are left after {} retried runs, of {}", task.retries_left, retried,
                   facts.definition.retries));
}

void Oracle::check_cause(const TaskFacts& facts, int run, const SeenRun& seen, std::string_view where) {
  bool caused = true;
  switch (seen.reason) {
    case ReasonResolved::none: caused = false; break;
    case ReasonResolved::canceled: caused = facts.cancel_asked; break;
    case ReasonResolved::deadline_exceeded: caused = seen.resolved >= facts.definition.deadline; break;
    case ReasonResolved::claim_expired: break;  // StateWatch knows about leases
    case ReasonResolved::completed:
    case ReasonResolved::failed:
    case ReasonResolved::superseded:
    case ReasonResolved::worker_shutdown:
    case ReasonResolved::malformed_payload:
    case ReasonResolved::resource_unavailable:
    case ReasonResolved::internal_error:
    case ReasonResolved::intermittent_task: caused = facts.reports_asked.contains({run, seen.reason}); break;
  }
  if (!caused) {
    fail(where, facts.id, fmt::format("run {} is {}, which nobody asked for", run, describe(seen.state, seen.reason)));
  }
}

void Oracle::check_run(TaskFacts& facts, const SeenTask& task, int run, std::int64_t now_us, std::string_view where) {
  const SeenRun& seen = task.runs[static_cast<std::size_t>(run)];
  bool last = static_cast<std::size_t>(run) + 1 == task.runs.size();
  if (!wire::is_resolved(seen.state)) {
    if (!last) fail(where, task.id, fmt::format("run {} is {} although it is not the last", run, name_of(seen.state)));
    return;
  }
  auto known = facts.resolved_runs.find(run);
  if (known == facts.resolved_runs.end()) {
    check_cause(facts, run, seen, where);
    facts.resolved_runs.emplace(run, RunFact{seen.state, seen.reason, seen.resolved, now_us});
    return;
  }
  const RunFact& fact = known->second;
  if (fact.state == seen.state && fact.reason == seen.reason && fact.resolved == seen.resolved) return;
  fail(where, task.id,
       fmt::format("run {} was {} at {} and is now {} at {}: a resolved run has changed", run,
                   describe(fact.state, fact.reason), format_time(fact.resolved), describe(seen.state, seen.reason),
                   format_time(seen.resolved)));
}

void Oracle::saw_task(const SeenTask& task, std::int64_t sent_us, std::int64_t now_us, std::string_view where) {
  TaskFacts* facts = find(task.id);
  if (!facts) return fail(where, task.id, "nobody has created it");
  if (task.priority != facts->definition.priority || task.deadline != facts->definition.deadline) {
    fail(where, task.id, "its priority or deadline is not as it was created");
  }
  check_retries(*facts, task, where);
  for (const auto& [run, fact] : facts->resolved_runs) {
    if (fact.known_us > sent_us) continue;
    bool there = static_cast<std::size_t>(run) < task.runs.size();
    if (there && wire::is_resolved(task.runs[static_cast<std::size_t>(run)].state)) continue;
    fail(where, task.id,
         fmt::format("run {} was {} and is no longer: an acknowledged change is lost", run,
                     describe(fact.state, fact.reason)));
  }
  for (int run = 0; run < static_cast<int>(task.runs.size()); ++run) check_run(*facts, task, run, now_us, where);
  if (facts->created_us < 0) {
    facts->created_us = now_us;
    if (!facts->resolved) open_.insert(task.id);
  }
  facts->runs_known = std::max(facts->runs_known, task.runs.size());
  bool over = !task.runs.empty() && wire::is_resolved(task.runs.back().state);
  if (facts->resolved && facts->resolved_us <= sent_us && !over) {
    fail(where, task.id, "it was resolved and runs again");
  }
  if (over && !facts->resolved) {
    facts->resolved = true;
    facts->resolved_us = now_us;
    open_.erase(task.id);
  }
}

void Oracle::saw_no_task(TaskId id, std::int64_t sent_us, std::string_view where) {
  TaskFacts* facts = find(id);
  if (facts && facts->created_us >= 0 && facts->created_us <= sent_us) {
    fail(where, id, "it is gone although its creation was acknowledged");
  }
}

void Oracle::received_claim(wire::RunRef run, const std::string& worker) {
  TaskFacts* facts = find(run.task);
  if (!facts) return fail("claim", run.task, "a worker was given a task that nobody has created");
  auto [place, fresh] = facts->received_by.emplace(run.run, worker);
  if (!fresh) {
    fail("claim", run.task, fmt::format("run {} was given to {} although {} has it", run.run, worker, place->second));
  }
}

void Oracle::created_artifact(wire::RunRef run, const std::string& name, ArtifactFact artifact) {
  find(run.task)->artifacts[{run.run, name}] = std::move(artifact);
}

TaskCounts Oracle::counts() const {
  TaskCounts counts;
  for (const auto& [id, facts] : tasks_) {
    if (facts.created_us >= 0) ++counts.created;
    for (const auto& [run, fact] : facts.resolved_runs) ++counts.runs[static_cast<std::size_t>(fact.reason)];
    if (!facts.resolved || facts.resolved_runs.empty()) continue;
    TaskState state = facts.resolved_runs.rbegin()->second.state;
    if (state == TaskState::completed) ++counts.completed;
    if (state == TaskState::failed) ++counts.failed;
    if (state == TaskState::exception) ++counts.exception;
  }
  return counts;
}

}  // namespace gantry::sim
