#include "core/queue/schedule.h"

#include <fmt/format.h>

#include "base/planted.h"
#include "core/queue/limits.h"
#include "core/queue/priority.h"
#include "core/queue/release.h"
#include "core/queue/run.h"

namespace gantry::queue {

using state::Change;
using state::Task;
using state::TaskState;

namespace {

Result<const Task*> find_before_deadline(state::Transaction& tx, TaskId id) {
  TRY(const Task* task, find_task(tx, id));
  if (task->deadline <= tx.now()) {
    return Error(ErrorCode::conflict,
                 fmt::format("task {} cannot be scheduled: its deadline {} has passed", id.to_string(),
                             format_time(task->deadline)),
                 "create a new task");
  }
  return task;
}

/// As the planted bug has it: the dependents in its group wait again.
void take_back_releases(state::Transaction& tx, const Task& task) {
  std::vector<TaskId> again;
  for (const auto& [sequence, id] : tx.state().open_in_group(task.group)) {
    const Task& dependent = *tx.find<Task>(id);
    if (!dependent.waits) continue;
    auto found = std::ranges::find(*dependent.waits->on, task.id);
    if (found == dependent.waits->on->end()) continue;
    if (dependent.waits->is_met(static_cast<std::size_t>(found - dependent.waits->on->begin()))) again.push_back(id);
  }
  for (TaskId id : again) {
    if (!tx.has_room(2)) return;
    tx.update<Task>(id, [&](Task& changed) {
      auto waits = std::make_shared<state::Waits>(*changed.waits);
      auto index = static_cast<std::size_t>(std::ranges::find(*waits->on, task.id) - waits->on->begin());
      waits->met[index / 64] &= ~(std::uint64_t{1} << (index % 64));
      ++waits->left;
      changed.waits = std::move(waits);
    });
  }
}

}  // namespace

Result<const Task*> schedule(state::Transaction& tx, TaskId id) {
  TRY(const Task* task, find_before_deadline(tx, id));
  if (task->state() != TaskState::unscheduled) return task;
  make_pending(tx, id);
  return tx.find<Task>(id);
}

Result<const Task*> rerun(state::Transaction& tx, TaskId id) {
  TRY(const Task* task, find_before_deadline(tx, id));
  TaskState before = task->state();
  if (before == TaskState::pending || before == TaskState::running) return task;
  int run = static_cast<int>(task->runs.size());
  if (run >= runs_max) {
    return Error(ErrorCode::conflict,
                 fmt::format("task {} has had {} runs, the most there may be", id.to_string(), run),
                 "create a new task");
  }
  if (planted(PlantedBug::met_bit_lost_on_rerun)) take_back_releases(tx, *task);
  state::Priority pulled = pulled_by_dependents(tx.state(), id);
  tx.update<Task>(id, [&](Task& changed) {
    changed.waits = nullptr;
    changed.pulled = std::max(changed.pulled, pulled);
    if (!planted(PlantedBug::rerun_keeps_retries)) {
      changed.retries_left = std::min(changed.retries, runs_max - run - 1);
    }
    state::Run next;
    next.reason_created = state::ReasonCreated::rerun;
    next.scheduled = tx.now();
    changed.runs.push_back(std::move(next));
  });
  tx.add_change({Change::Kind::task_pending, id, run, tx.find<Task>(id)->task_queue, {}});
  return tx.find<Task>(id);
}

}  // namespace gantry::queue
