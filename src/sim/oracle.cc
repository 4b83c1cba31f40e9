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

/// What makes a further run after one that ended so, if retries are left; `exception`: nothing.
ReasonCreated retry_after(ReasonResolved reason) {
  if (reason == ReasonResolved::worker_shutdown || reason == ReasonResolved::claim_expired) return ReasonCreated::retry;
  if (reason == ReasonResolved::intermittent_task) return ReasonCreated::task_retry;
  return ReasonCreated::exception;
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
    seen.runs.push_back({run.state, run.reason_created, run.reason_resolved, std::move(worker), run.taken_until,
                         run.scheduled, run.resolved});
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
                     time_of(run, "scheduled"),
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

TaskFacts& Oracle::plan(TaskId id, wire::TaskDefinition definition, bool defined_only) {
  TaskFacts& facts = tasks_[id];
  facts.id = id;
  facts.definition = std::move(definition);
  facts.defined_only = defined_only;
  facts.priority = Wishes<wire::Priority>(facts.definition.priority);
  for (TaskId dependency : facts.definition.dependencies) dependents_[dependency].push_back(id);
  by_id_[id] = &facts;
  return facts;
}

TaskFacts* Oracle::find(TaskId id) {
  auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

const std::vector<TaskId>& Oracle::dependents(TaskId id) const {
  static const std::vector<TaskId> none;
  auto found = dependents_.find(id);
  return found == dependents_.end() ? none : found->second;
}

void Oracle::cancel_asked(TaskId id) { find(id)->cancel_asked = true; }
void Oracle::schedule_asked(TaskId id) { find(id)->schedule_asked = true; }
void Oracle::rerun_asked(TaskId id, std::int64_t now_us) { find(id)->rerun_asked_us = now_us; }

void Oracle::report_asked(wire::RunRef run, ReasonResolved reason) {
  find(run.task)->reports_asked.emplace(run.run, reason);
}

/// A rerun gives the retries anew, as many as there may be further runs.
void Oracle::check_retries(const TaskFacts& facts, const SeenTask& task, std::string_view where) {
  int budget = facts.definition.retries;
  int retried = 0;
  for (std::size_t i = 0; i < task.runs.size(); ++i) {
    retried += is_retry(task.runs[i].created) ? 1 : 0;
    if (task.runs[i].created != ReasonCreated::rerun) continue;
    budget = std::min(facts.definition.retries, state::runs_max - static_cast<int>(i) - 1);
    retried = 0;
  }
  if (task.retries_left + retried != budget || task.retries_left < 0) {
    return fail(where, task.id,
                fmt::format("retries: {} are left after {} retried runs, of {}", task.retries_left, retried, budget));
  }
  bool tries_again =
      !task.runs.empty() && task.retries_left > 0 && retry_after(task.runs.back().reason) != ReasonCreated::exception;
  if (tries_again) {
    fail(where, task.id, fmt::format("its last run is {} and was not tried again", name_of(task.runs.back().reason)));
  }
}

void Oracle::check_origin(const TaskFacts& facts, const SeenTask& task, std::size_t run, std::string_view where) {
  const SeenRun& seen = task.runs[run];
  ReasonResolved before = run == 0 ? ReasonResolved::none : task.runs[run - 1].reason;
  bool right = false;
  switch (seen.created) {
    case ReasonCreated::scheduled: right = run == 0; break;
    case ReasonCreated::exception: right = run == 0 && wire::is_resolved(seen.state); break;
    case ReasonCreated::retry:
    case ReasonCreated::task_retry: right = run > 0 && retry_after(before) == seen.created; break;
    case ReasonCreated::rerun: right = facts.rerun_asked_us >= 0; break;
  }
  if (right) return;
  fail(where, task.id, fmt::format("run {} was made by {} after {}", run, name_of(seen.created), name_of(before)));
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
  if (static_cast<std::size_t>(run) >= facts.runs.size())
    check_origin(facts, task, static_cast<std::size_t>(run), where);
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

void Oracle::check_lost(const TaskFacts& facts, const SeenTask& task, std::int64_t sent_us, std::string_view where) {
  for (const auto& [run, fact] : facts.resolved_runs) {
    if (fact.known_us > sent_us) continue;
    bool there = static_cast<std::size_t>(run) < task.runs.size();
    if (there && wire::is_resolved(task.runs[static_cast<std::size_t>(run)].state)) continue;
    fail(where, task.id,
         fmt::format("run {} was {} and is no longer: an acknowledged change is lost", run,
                     describe(fact.state, fact.reason)));
  }
  if (task.runs.size() < facts.runs.size() && facts.runs_known_us <= sent_us) {
    fail(where, task.id, fmt::format("it has {} runs and had {}", task.runs.size(), facts.runs.size()));
  }
}

/// Whether it is resolved now, if this is not older than what is known.
void Oracle::learn_end(TaskFacts& facts, const SeenTask& task, std::int64_t sent_us, std::int64_t now_us,
                       std::string_view where) {
  if (task.runs.size() < facts.runs.size()) return;
  bool over = !task.runs.empty() && wire::is_resolved(task.runs.back().state);
  bool more = task.runs.size() > facts.runs.size();
  if (more) facts.runs_known_us = now_us;
  if (over || more || !facts.resolved) facts.runs = task.runs;
  if (facts.resolved && !over && more) {
    if (facts.rerun_asked_us < 0) fail(where, task.id, "it was resolved and runs again");
    facts.resolved = false;
    open_.insert(task.id);
  }
  if (facts.resolved && facts.resolved_us <= sent_us && !over) fail(where, task.id, "it was resolved and is no longer");
  if (over && !facts.resolved) {
    facts.resolved = true;
    facts.resolved_us = now_us;
    open_.erase(task.id);
  }
}

void Oracle::saw_task(const SeenTask& task, std::int64_t sent_us, std::int64_t now_us, std::string_view where) {
  TaskFacts* facts = find(task.id);
  if (!facts) return fail(where, task.id, "nobody has created it");
  if (task.deadline != facts->definition.deadline) fail(where, task.id, "its deadline is not as it was created");
  if (!facts->priority.may_be(task.priority, sent_us)) {
    fail(where, task.id, fmt::format("its priority is {}, which is not what was acknowledged", name_of(task.priority)));
  }
  check_retries(*facts, task, where);
  check_lost(*facts, task, sent_us, where);
  for (int run = 0; run < static_cast<int>(task.runs.size()); ++run) check_run(*facts, task, run, now_us, where);
  if (facts->created_us < 0) {
    facts->created_us = now_us;
    if (!facts->resolved) open_.insert(task.id);
  }
  learn_end(*facts, task, sent_us, now_us, where);
}

void Oracle::saw_no_task(TaskId id, std::int64_t sent_us, std::string_view where) {
  TaskFacts* facts = find(id);
  if (facts && facts->created_us >= 0 && facts->created_us <= sent_us) {
    fail(where, id, "it is gone although its creation was acknowledged");
  }
}

void Oracle::received_claim(wire::RunRef run, const std::string& worker, bool again) {
  TaskFacts* facts = find(run.task);
  if (!facts) return fail("claim", run.task, "a worker was given a task that nobody has created");
  auto [place, fresh] = facts->received_by.emplace(run.run, worker);
  if (!fresh && !(again && place->second == worker)) {
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
