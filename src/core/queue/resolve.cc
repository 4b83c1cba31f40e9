#include "core/queue/resolve.h"

#include <fmt/format.h>

#include "base/planted.h"
#include "core/queue/limits.h"
#include "core/queue/run.h"

namespace gantry::queue {
namespace {

using state::ReasonResolved;
using state::Task;
using state::TaskState;

TaskState outcome_of(ReasonResolved reason) {
  if (reason == ReasonResolved::completed) return TaskState::completed;
  if (reason == ReasonResolved::failed) return TaskState::failed;
  return TaskState::exception;
}

Error not_reportable(const Task& task, int run, ReasonResolved reason) {
  const state::Run& found = task.runs[static_cast<std::size_t>(run)];
  std::string_view now =
      found.reason_resolved == ReasonResolved::none ? name_of(found.state) : name_of(found.reason_resolved);
  return Error(ErrorCode::conflict, fmt::format("run {} of task {} cannot be reported as {}: it is {}", run,
                                                task.id.to_string(), name_of(reason), now));
}

}  // namespace

Result<const Task*> report(state::Transaction& tx, TaskId id, int run, const Report& report) {
  TRY(const Task* task, find_run(tx, id, run));
  const state::Run& found = task->runs[static_cast<std::size_t>(run)];
  if (found.reason_resolved == report.reason) return task;
  bool late_but_planted = planted(PlantedBug::resolve_twice) && found.reason_resolved != ReasonResolved::none &&
                          static_cast<std::size_t>(run) + 1 == task->runs.size();
  if (found.state != TaskState::running && !late_but_planted) return not_reportable(*task, run, report.reason);
  end_run(tx, id, outcome_of(report.reason), report.reason, report.exit);
  return tx.find<Task>(id);
}

Result<const Task*> cancel(state::Transaction& tx, TaskId id) {
  TRY(const Task* task, find_task(tx, id));
  if (task->resolved()) return task;
  if (task->deadline <= tx.now()) {
    return Error(ErrorCode::conflict, fmt::format("task {} cannot be cancelled: its deadline {} has passed",
                                                  id.to_string(), format_time(task->deadline)));
  }
  end_run(tx, id, TaskState::exception, ReasonResolved::canceled, {});
  return tx.find<Task>(id);
}

bool expire_deadlines(state::Transaction& tx) {
  const auto& deadlines = tx.state().deadlines();
  auto next = deadlines.begin();
  while (next != deadlines.end() && next->first <= tx.now()) {
    if (!tx.has_room(end_run_operations)) return true;
    TaskId id = next->second;
    if (planted(PlantedBug::deadline_spares_running) && tx.find<Task>(id)->state() == TaskState::running) {
      ++next;
      continue;
    }
    end_run(tx, id, TaskState::exception, ReasonResolved::deadline_exceeded, {});
    next = deadlines.begin();
  }
  return false;
}

bool expire_claims(state::Transaction& tx, Time listening_since) {
  bool full_term = tx.now() >= listening_since + claim_term || planted(PlantedBug::lease_survives_restart);
  if (!full_term) return false;
  const auto& claims = tx.state().claims();
  while (!claims.empty() && claims.begin()->first <= tx.now()) {
    if (!tx.has_room(end_run_operations)) return true;
    end_run(tx, claims.begin()->second, TaskState::exception, ReasonResolved::claim_expired, {});
  }
  return false;
}

bool expire_node(state::Transaction& tx, NodeId node) { return expire_unheld(tx, node, {}); }

bool expire_unheld(state::Transaction& tx, NodeId node, const std::set<state::AllocationId>& held) {
  auto allocations = tx.state().allocations_on(node);  // a copy: ending a run removes from it
  for (const state::AllocationId& id : allocations) {
    if (held.contains(id)) continue;
    if (!tx.has_room(end_run_operations)) return true;
    end_run(tx, id.task, TaskState::exception, ReasonResolved::claim_expired, {});
  }
  return false;
}

}  // namespace gantry::queue
