#include "core/queue/priority.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/queue/limits.h"
#include "core/queue/run.h"
#include "core/queue/work.h"

namespace gantry::queue {

using state::Change;
using state::Priority;
using state::Task;
using state::Work;

namespace {

/// A task whose dependencies are being pulled, from `index` on.
struct Puller {
  TaskId task;
  std::size_t index = 0;
};

Work pull_work(state::Transaction& tx, const Puller& puller) {
  Work work;
  work.id = tx.next_sequence();
  work.kind = Work::Kind::pull;
  work.task = puller.task;
  work.position = puller.index;
  work.created = tx.now();
  return work;
}

/// Depth first. False if the transaction is full, or enough was looked at; `pullers` is then what is left.
bool pull_some(state::Transaction& tx, std::vector<Puller>& pullers) {
  for (std::size_t visits = 0; !pullers.empty(); ++visits) {
    Puller& top = pullers.back();
    const Task* waiter = tx.find<Task>(top.task);
    if (!waiter || !waiter->waits || top.index >= waiter->waits->on->size()) {
      pullers.pop_back();
      continue;
    }
    if (visits >= work_visits_max) return false;
    TaskId id = (*waiter->waits->on)[top.index];
    const Task* dependency = waiter->waits->is_met(top.index) ? nullptr : tx.find<Task>(id);
    Priority priority = passed_on(*waiter);
    if (!dependency || dependency == waiter || dependency->resolved() || dependency->pulled >= priority) {
      ++top.index;
      continue;
    }
    std::size_t operations = 1 + pullers.size() + 1 + work_operations;  // it, and work for every puller and for it
    if (!tx.has_room(operations)) return false;
    ++top.index;
    tx.update<Task>(id, [&](Task& changed) { changed.pulled = priority; });
    if (!tx.find<Task>(id)->waits) continue;
    if (pullers.size() < pull_depth_max) {
      pullers.push_back({id, 0});
    } else {
      tx.insert(pull_work(tx, {id, 0}));
    }
  }
  return true;
}

/// The change under way of a group's priority: there is at most one.
const Work* group_change(const state::State& state, TaskGroupId group) {
  for (Work::Id id : state.works()) {
    const Work& work = state.table<Work>().find(id)->record;
    if (work.kind == Work::Kind::prioritize_group && work.task == group) return &work;
  }
  return nullptr;
}

bool is_spared(const Work& work, const Task& task) {
  return std::ranges::find(work.links, task.sequence) != work.links.end();
}

/// What is decided for one task now must outlast a change of its group that has not come to it yet.
Result<void> spare(state::Transaction& tx, const Task& task) {
  const Work* work = group_change(tx.state(), task.group);
  if (!work || task.sequence > work->through || is_spared(*work, task)) return success();
  if (work->links.size() >= spared_tasks_max) {
    return Error(ErrorCode::unavailable,
                 fmt::format("the priority of group {} is being changed", task.group.to_string()),
                 "try again in a moment");
  }
  tx.update<Work>(work->id, [&](Work& changed) { changed.links.push_back(task.sequence); });
  return success();
}

/// One task of a group or by itself; needs the room of two records.
void set_priority(state::Transaction& tx, TaskId id, Priority priority) {
  const Task& task = *tx.find<Task>(id);
  if (task.priority == priority) return;
  Change change{Change::Kind::priority_changed, id};
  change.priority_before = task.priority;
  change.priority = priority;
  tx.add_change(std::move(change));
  tx.update<Task>(id, [&](Task& changed) { changed.priority = priority; });
  pull_dependencies(tx, id);
}

}  // namespace

Result<const Task*> change_priority(state::Transaction& tx, TaskId id, Priority priority) {
  TRY(const Task* task, find_task(tx, id));
  if (task->resolved()) {
    return Error(ErrorCode::conflict, fmt::format("the priority of task {} cannot be changed: it is {}", id.to_string(),
                                                  name_of(task->state())));
  }
  TRY(spare(tx, *task));
  set_priority(tx, id, priority);
  return tx.find<Task>(id);
}

Result<GroupPriority> change_group_priority(state::Transaction& tx, TaskGroupId id, Priority priority) {
  TRY(GroupView view, view_group(tx, id));
  GroupPriority result{std::move(view), static_cast<std::int64_t>(open_tasks(tx.state(), id).size())};
  Change change{Change::Kind::group_priority_changed, id};
  change.name = result.group.scheduler;
  change.priority = priority;
  for (TaskId task : open_tasks(tx.state(), id)) change.tasks_affected += tx.find<Task>(task)->priority != priority;
  tx.add_change(std::move(change));
  if (const Work* earlier = group_change(tx.state(), id))
    tx.erase<Work>(earlier->id);  // this one goes to all of its tasks
  Work work;
  work.kind = Work::Kind::prioritize_group;
  work.task = id;
  work.priority = priority;
  start_work(tx, std::move(work), continue_prioritize_group);
  return result;
}

Priority passed_on(const Task& task) { return task.pulls ? task.effective_priority() : task.pulled; }

void pull_dependencies(state::Transaction& tx, TaskId id) {
  const Task& task = *tx.find<Task>(id);
  if (!task.waits || passed_on(task) == Priority::lowest) return;
  std::vector<Puller> pullers = {{id, 0}};
  if (pull_some(tx, pullers)) return;
  for (const Puller& puller : pullers) tx.insert(pull_work(tx, puller));
}

Priority pulled_by_dependents(const state::State& state, TaskId id) {
  Priority highest = Priority::lowest;
  std::size_t visits = 0;
  for (const auto& [sequence, dependent] : state.dependents_of(id)) {
    if (++visits > pulling_dependents_max || highest == Priority::highest) break;
    if (dependent != id) highest = std::max(highest, passed_on(state.table<Task>().find(dependent)->record));
  }
  return highest;
}

bool continue_pull(state::Transaction& tx, Work& work) {
  std::vector<Puller> pullers = {{work.task, static_cast<std::size_t>(work.position)}};
  if (pull_some(tx, pullers)) return true;
  work.position = pullers.front().index;
  for (std::size_t i = 1; i < pullers.size(); ++i) tx.insert(pull_work(tx, pullers[i]));
  return false;
}

bool continue_prioritize_group(state::Transaction& tx, Work& work) {
  static constexpr std::size_t operations = 2;  // the task, and work to pull what it waits for
  return for_open_tasks(tx, work, operations, [&](const Task& task) {
    if (!is_spared(work, task)) set_priority(tx, task.id, work.priority);
  });
}

}  // namespace gantry::queue
