#include "core/queue/run.h"

#include <fmt/format.h>

#include "base/planted.h"
#include "core/queue/group.h"
#include "core/queue/release.h"

namespace gantry::queue {

using state::Change;
using state::ReasonCreated;
using state::ReasonResolved;
using state::Task;
using state::TaskState;

Result<const Task*> find_task(state::Transaction& tx, TaskId id) {
  const Task* task = tx.find<Task>(id);
  if (!task) {
    return Error(ErrorCode::not_found, fmt::format("task {} does not exist", id.to_string()),
                 "it may have expired; check the id");
  }
  return task;
}

Result<const Task*> find_run(state::Transaction& tx, TaskId id, int run) {
  TRY(const Task* task, find_task(tx, id));
  if (run < 0 || static_cast<std::size_t>(run) >= task->runs.size()) {
    return Error(ErrorCode::not_found, fmt::format("task {} has no run {}", id.to_string(), run));
  }
  return task;
}

namespace {

/// The run that follows one which ended for `reason`, or `none` if it is not one that is tried again.
ReasonCreated retry_reason(ReasonResolved reason) {
  if (reason == ReasonResolved::worker_shutdown || reason == ReasonResolved::claim_expired) return ReasonCreated::retry;
  if (reason == ReasonResolved::intermittent_task) return ReasonCreated::task_retry;
  return ReasonCreated::exception;
}

bool ended_from_outside(ReasonResolved reason) {
  return reason == ReasonResolved::canceled || reason == ReasonResolved::claim_expired ||
         reason == ReasonResolved::deadline_exceeded;
}

void free_allocation(state::Transaction& tx, TaskId id, int run, ReasonResolved reason) {
  state::AllocationId allocation_id{id, run};
  const state::Allocation* allocation = tx.find<state::Allocation>(allocation_id);
  if (!allocation) return;
  if (!allocation->node.empty() && ended_from_outside(reason)) {
    tx.add_change({Change::Kind::allocation_lost, id, run, {}, allocation->node});
  }
  if (reason == ReasonResolved::canceled && planted(PlantedBug::cancel_keeps_allocation)) return;
  tx.erase<state::Allocation>(allocation_id);
}

}  // namespace

void end_run(state::Transaction& tx, TaskId id, TaskState outcome, ReasonResolved reason,
             const state::ExitReport& exit) {
  const Task* task = tx.find<Task>(id);
  GANTRY_ASSERT(task && (!task->resolved() || planted(PlantedBug::resolve_twice)));
  ReasonCreated again = retry_reason(reason);
  bool retried = again != ReasonCreated::exception && task->retries_left > 0;
  std::shared_ptr<const state::ExitReport> report;
  if (exit.known) report = std::make_shared<const state::ExitReport>(exit);
  int run = task->runs.empty() ? 0 : static_cast<int>(task->runs.size()) - 1;
  Time now = tx.now();
  tx.update<Task>(id, [&](Task& changed) {
    if (changed.runs.empty()) {
      state::Run never;
      never.reason_created = ReasonCreated::exception;
      never.scheduled = now;
      changed.runs.push_back(std::move(never));
      changed.waits = nullptr;
    }
    state::Run& last = changed.runs.back();
    last.state = outcome;
    last.reason_resolved = reason;
    last.resolved = now;
    last.exit = std::move(report);
    if (!retried) return;
    if (!planted(PlantedBug::retry_not_counted)) --changed.retries_left;
    state::Run next;
    next.reason_created = again;
    next.scheduled = now;
    changed.runs.push_back(std::move(next));
  });
  free_allocation(tx, id, run, reason);
  tx.add_change({Change::Kind::task_resolved, id, run, {}, {}});
  if (retried) {
    tx.add_change({Change::Kind::task_pending, id, run + 1, tx.find<Task>(id)->task_queue, {}});
    if (planted(PlantedBug::retry_releases)) release_dependents(tx, id, outcome == TaskState::completed);
    return;
  }
  release_dependents(tx, id, outcome == TaskState::completed);
  note_if_group_resolved(tx, id);
}

}  // namespace gantry::queue
