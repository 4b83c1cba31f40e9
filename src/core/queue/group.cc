#include "core/queue/group.h"

#include <fmt/format.h>

#include "base/planted.h"
#include "core/queue/limits.h"
#include "core/queue/priority.h"
#include "core/queue/run.h"
#include "core/queue/work.h"
#include "core/state/codec.h"

namespace gantry::queue {

using state::Change;
using state::Group;
using state::TableId;
using state::Task;
using state::Work;

namespace {

/// The task whose id the group has, if it is a member.
const Task* root_of(const state::State& state, TaskGroupId id) {
  const auto* row = state.table<Task>().find(id);
  return row && row->record.group == id ? &row->record : nullptr;
}

void add_member(state::Transaction& tx, TaskGroupId id, const Task& task) {
  tx.update<Group>(id, [&](Group& group) {
    ++group.tasks;
    group.expires = std::max(group.expires, task.expires);
  });
  tx.put_row(TableId::group_member, {tx.find<Group>(id)->sequence, state::member_key_name(task.sequence)},
             std::make_shared<const std::string>(task.id.to_string()));
}

/// Gives the group its record, with its root as first member if there is one.
void make_record(state::Transaction& tx, TaskGroupId id, const SharedText& scheduler) {
  const Task* root = root_of(tx.state(), id);
  Group group;
  group.id = id;
  group.sequence = tx.next_sequence();
  group.scheduler = scheduler.str();
  group.created = root ? root->created : tx.now();
  tx.insert(std::move(group));
  if (root) add_member(tx, id, *root);
}

Error no_group(TaskGroupId id) {
  return Error(ErrorCode::not_found, fmt::format("task group {} does not exist", id.to_string()),
               "it may have expired; check the id");
}

/// The group's record; made if it has none yet.
Result<void> ensure_record(state::Transaction& tx, TaskGroupId id) {
  if (tx.find<Group>(id)) return success();
  const Task* root = tx.find<Task>(id);
  if (!root || root->group != id) return no_group(id);
  make_record(tx, id, root->scheduler);
  return success();
}

Change group_change(Change::Kind kind, TaskGroupId id, const std::string& scheduler) {
  Change change{kind, id};
  change.name = scheduler;
  return change;
}

}  // namespace

Result<GroupView> view_group(state::Transaction& tx, TaskGroupId id) {
  if (const Group* group = tx.find<Group>(id)) {
    return GroupView{id, group->scheduler, group->expires, group->sealed, group->pulls, group->tasks, group->sequence};
  }
  const Task* root = tx.find<Task>(id);
  if (!root || root->group != id) return no_group(id);
  return GroupView{id, root->scheduler, root->expires, Time(), false, 1, 0};
}

Result<void> join_group(state::Transaction& tx, const Task& task) {
  const Group* group = tx.find<Group>(task.group);
  if (!group && task.group == task.id) return success();
  const Task* root = group || task.group == task.id ? nullptr : root_of(tx.state(), task.group);
  const std::string& scheduler = group ? group->scheduler : root ? root->scheduler.str() : task.scheduler.str();
  if (scheduler != task.scheduler.str()) {
    return Error(ErrorCode::conflict,
                 fmt::format("task group {} contains tasks of schedulerId \"{}\"; this one has \"{}\"",
                             task.group.to_string(), scheduler, task.scheduler),
                 "all tasks of a group must have the same schedulerId");
  }
  if (group && group->sealed != Time() && !planted(PlantedBug::sealed_group_takes_tasks)) {
    return Error(ErrorCode::conflict,
                 fmt::format("task group {} was sealed at {}", task.group.to_string(), format_time(group->sealed)),
                 "a sealed group takes no more tasks; use a new taskGroupId");
  }
  if (!group) make_record(tx, task.group, task.scheduler);
  add_member(tx, task.group, task);
  return success();
}

Result<GroupView> seal_group(state::Transaction& tx, TaskGroupId id) {
  TRY(ensure_record(tx, id));
  const Group* group = tx.find<Group>(id);
  if (group->sealed == Time()) {
    tx.add_change(group_change(Change::Kind::group_sealed, id, group->scheduler));
    tx.update<Group>(id, [&](Group& changed) { changed.sealed = tx.now(); });
  }
  return view_group(tx, id);
}

std::vector<TaskId> open_tasks(const state::State& state, TaskGroupId id) {
  std::vector<TaskId> tasks;
  const auto& line = state.open_in_group(id);
  tasks.reserve(line.size() + 1);
  const Task* root = root_of(state, id);
  if (root && !root->resolved()) tasks.push_back(id);
  for (const auto& [sequence, task] : line) tasks.push_back(task);
  return tasks;
}

Result<GroupCancel> cancel_group(state::Transaction& tx, TaskGroupId id) {
  TRY(GroupView view, view_group(tx, id));
  if (view.sealed == Time()) {
    return Error(ErrorCode::conflict, fmt::format("task group {} is not sealed", id.to_string()),
                 "seal it first, so that no task joins it meanwhile");
  }
  GroupCancel cancelled{std::move(view), open_tasks(tx.state(), id)};
  std::erase_if(cancelled.tasks, [&](TaskId task) { return tx.find<Task>(task)->deadline <= tx.now(); });
  Work work;
  work.kind = Work::Kind::cancel_group;
  work.task = id;
  start_work(tx, std::move(work), continue_cancel_group);
  return cancelled;
}

Result<GroupView> set_group_pulls(state::Transaction& tx, TaskGroupId id, bool pulls) {
  TRY(GroupView view, view_group(tx, id));
  if (view.pulls == pulls) return view;
  TRY(ensure_record(tx, id));
  tx.update<Group>(id, [&](Group& changed) { changed.pulls = pulls; });
  Work work;
  work.kind = Work::Kind::group_pulls;
  work.task = id;
  work.completed = pulls;
  start_work(tx, std::move(work), continue_group_pulls);
  return view_group(tx, id);
}

void note_if_group_resolved(state::Transaction& tx, TaskId id) {
  const Task& task = *tx.find<Task>(id);
  if (!planted(PlantedBug::group_resolved_early)) {
    if (!tx.state().open_in_group(task.group).empty()) return;
    const Task* root = task.group == id ? nullptr : root_of(tx.state(), task.group);
    if (root && !root->resolved() && !planted(PlantedBug::group_root_forgotten)) return;
  }
  tx.add_change(group_change(Change::Kind::group_resolved, task.group, task.scheduler));
}

bool continue_cancel_group(state::Transaction& tx, Work& work) {
  return for_open_tasks(tx, work, end_run_operations, [&](const Task& task) {
    if (task.deadline <= tx.now()) return;
    end_run(tx, task.id, state::TaskState::exception, state::ReasonResolved::canceled, {});
  });
}

bool continue_group_pulls(state::Transaction& tx, Work& work) {
  static constexpr std::size_t operations = 2;  // the task, and work to pull what it waits for
  return for_open_tasks(tx, work, operations, [&](const Task& task) {
    TaskId id = task.id;
    if (task.pulls == work.completed) return;
    tx.update<Task>(id, [&](Task& changed) { changed.pulls = work.completed; });
    if (work.completed) pull_dependencies(tx, id);
  });
}

}  // namespace gantry::queue
