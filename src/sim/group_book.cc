#include "sim/group_book.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/state/codec.h"

namespace gantry::sim {
namespace {

constexpr std::int64_t second_us = 1'000'000;
/// How long larger work may be under way, and what it is to bring about be missing.
constexpr std::int64_t work_us_max = 10 * second_us;
/// How often what is not a matter of moments is looked at.
constexpr std::int64_t check_every_us = 60 * second_us;
/// What was asked for all of a group is done in steps, the last of them perhaps by a server that had to be started
/// anew.
constexpr std::int64_t group_late_us_max = 3'600 * second_us;

std::vector<TaskId> ids_in(const json::object& answer) {
  std::vector<TaskId> ids;
  for (const json::value& id : answer.at("taskIds").as_array()) {
    ids.push_back(TaskId::parse(std::string_view(id.as_string())).value());
  }
  return ids;
}

/// The task, if it is not resolved.
const state::Task* open_task(const state::State& state, TaskId id) {
  const auto* row = state.table<state::Task>().find(id);
  return row && !row->record.resolved() ? &row->record : nullptr;
}

}  // namespace

void GroupBook::fail(TaskGroupId id, std::string_view what) const {
  fail_(fmt::format("task group {}: {}", id.to_string(), what));
}

GroupFacts* GroupBook::find(TaskGroupId id) {
  auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

void GroupBook::plan_member(TaskFacts& task, std::int64_t now_us) {
  GroupFacts& group = groups_[task.definition.group];
  group.id = task.definition.group;
  group.members.push_back(task.id);
  if (group.cancel_asked_us >= 0) task.cancel_asked = true;
  for (GroupWish& wish : wishes_) {
    if (wish.group == group.id && wish.sent_us + group_late_us_max > now_us) wish_for(wish, task);
  }
}

void GroupBook::seal_asked(TaskGroupId id) { find(id)->seal_asked = true; }

void GroupBook::cancel_asked(TaskGroupId id, std::int64_t now_us) {
  GroupFacts& group = *find(id);
  if (group.cancel_asked_us < 0) group.cancel_asked_us = now_us;
  for (TaskId member : group.members) oracle_.cancel_asked(member);
}

void GroupBook::wish_for(GroupWish& wish, TaskFacts& task) {
  wish.of_tasks[task.id] = task.priority.ask(wish.priority, wish.sent_us, group_late_us_max);
}

std::size_t GroupBook::priority_asked(TaskGroupId id, wire::Priority priority, std::int64_t now_us) {
  GroupWish& wish = wishes_.emplace_back(GroupWish{id, priority, now_us, {}, {}});
  for (TaskId member : find(id)->members) wish_for(wish, *oracle_.find(member));
  return wishes_.size() - 1;
}

std::size_t GroupBook::pulls_asked(TaskGroupId id, bool pulls, std::int64_t now_us) {
  return find(id)->pulls.ask(pulls, now_us, group_late_us_max);
}

void GroupBook::saw_group(TaskGroupId id, const json::object& answer, std::int64_t sent_us, std::int64_t now_us) {
  GroupFacts& group = *find(id);
  const json::value* text = answer.if_contains("sealed");
  if (!text) {
    if (group.sealed && group.sealed_us <= sent_us) fail(id, "it was sealed and is no longer");
    return;
  }
  auto sealed = parse_time(std::string_view(text->as_string()));
  if (!group.seal_asked) fail(id, "it is sealed, which nobody asked for");
  if (group.sealed && group.sealed != sealed) fail(id, "it was sealed, and now at another time");
  if (group.sealed) return;
  group.sealed = sealed;
  group.sealed_us = now_us;
}

void GroupBook::cancelled(TaskGroupId id, const json::object& answer, std::int64_t now_us) {
  GroupFacts& group = *find(id);
  std::vector<TaskId> ids = ids_in(answer);
  std::set<TaskId> different(ids.begin(), ids.end());
  bool counted = answer.at("cancelledCount").to_number<std::size_t>() == ids.size() && different.size() == ids.size();
  if (!counted) fail(id, "it was cancelled, and the count of what was is wrong");
  for (TaskId task : ids) {
    bool member = std::ranges::find(group.members, task) != group.members.end();
    if (!member) fail(id, fmt::format("it was cancelled with task {}, which is not in it", task.to_string()));
  }
  auto size = answer.at("taskGroupSize").to_number<std::int64_t>();
  auto known = std::ranges::count_if(group.members, [&](TaskId task) {
    std::int64_t created_us = oracle_.find(task)->created_us;
    return created_us >= 0 && created_us <= group.cancel_asked_us;
  });
  if (size < known || size > std::ssize(group.members)) {
    fail(id, fmt::format("it is said to have {} tasks and has from {} to {}", size, known, group.members.size()));
  }
  if (group.cancelled_us < 0) group.cancelled_us = now_us;
  to_be_cancelled_.insert(id);
}

void GroupBook::prioritized(TaskGroupId, std::size_t wish, const json::object& answer) {
  wishes_[wish].told = ids_in(answer);
  told_ = true;
}

void GroupBook::pulls_set(TaskGroupId id, std::size_t wish) {
  find(id)->pulls_told = wish;
  told_ = true;
}

void GroupBook::saw_list(TaskGroupId id, const std::set<TaskId>& listed, std::int64_t sent_us) {
  const GroupFacts& group = *find(id);
  for (TaskId task : group.members) {
    std::int64_t created_us = oracle_.find(task)->created_us;
    bool expected = created_us >= 0 && created_us <= sent_us;
    if (expected && !listed.contains(task)) fail(id, fmt::format("task {} is not listed", task.to_string()));
  }
  for (TaskId task : listed) {
    bool member = std::ranges::find(group.members, task) != group.members.end();
    if (!member) fail(id, fmt::format("task {} is listed and not in it", task.to_string()));
  }
}

void GroupBook::saw_new_task(const state::Task& task) {
  const GroupFacts* group = find(task.group);
  if (!group || !group->sealed || task.created <= *group->sealed) return;
  fail(group->id, fmt::format("it was sealed at {}, and task {} has joined it at {}", format_time(*group->sealed),
                              task.id.to_string(), format_time(task.created)));
}

void GroupBook::check_cancelled(const state::State& state, std::int64_t now_us, std::int64_t trouble_us) {
  std::erase_if(to_be_cancelled_, [&](TaskGroupId id) {
    const GroupFacts& group = *find(id);
    if (now_us - std::max(group.cancelled_us, trouble_us) <= work_us_max) return false;
    for (TaskId task : group.members) {
      bool may_run = oracle_.find(task)->rerun_asked_us >= group.cancel_asked_us - late_us_max;
      if (may_run || !open_task(state, task)) continue;
      fail(id, fmt::format("it was cancelled, and task {} of it is still open", task.to_string()));
    }
    return true;
  });
}

/// What was acknowledged for all of a group is now in force for each of its tasks.
void GroupBook::works_done(const state::State& state, std::int64_t now_us) {
  for (GroupWish& wish : wishes_) {
    if (!wish.told) continue;
    std::vector<TaskId> told = *std::exchange(wish.told, std::nullopt);
    for (TaskId id : told) {
      TaskFacts* facts = oracle_.find(id);
      auto number = wish.of_tasks.find(id);
      if (!facts || number == wish.of_tasks.end() || !open_task(state, id)) continue;
      bool open_since = std::ranges::none_of(facts->resolved_runs,
                                             [&](const auto& run) { return run.second.known_us >= wish.sent_us; });
      if (open_since) facts->priority.done(number->second, now_us);
    }
  }
  for (auto& [id, group] : groups_) {
    if (group.pulls_told) group.pulls.done(*std::exchange(group.pulls_told, std::nullopt), now_us);
  }
}

void GroupBook::check_pulls(const state::State& state, std::int64_t now_us) const {
  for (const auto& [id, group] : groups_) {
    if (!group.pulls.asked()) continue;
    for (TaskId member : group.members) {
      const state::Task* task = open_task(state, member);
      bool waits = task && task->runs.empty();
      if (!waits || group.pulls.may_be(task->pulls, now_us)) continue;
      fail(id, fmt::format("task {} {} although that was changed", member.to_string(),
                           task->pulls ? "still pulls what it waits for" : "does not pull what it waits for"));
    }
  }
}

void GroupBook::look(const state::State& state, bool settled, std::int64_t now_us, std::int64_t trouble_us) {
  bool works = state.table<state::Work>().size() > 0;
  if (works && working_since_us_ < 0) working_since_us_ = now_us;
  if (!works) working_since_us_ = -1;
  if (works && now_us - std::max(working_since_us_, trouble_us) > work_us_max) {
    fail_("the server's state: larger work is not carried on");
  }
  if (!works && settled && std::exchange(told_, false)) works_done(state, now_us);
  if (!to_be_cancelled_.empty()) check_cancelled(state, now_us, trouble_us);
  bool check = !works && settled && now_us >= next_check_us_;
  if (!check) return;
  next_check_us_ = now_us + check_every_us;
  check_pulls(state, now_us);
}

std::optional<std::string> GroupBook::check_disk(store::Store& store) const {
  for (const auto& [id, group] : groups_) {
    if (!group.sealed) continue;
    state::Key key = state::Group::store_key(id);
    state::Value stored = store.read(state::TableId::group, key);
    auto record = stored ? state::decode<state::Group>(key, *stored) : Result<state::Group>(state::Group());
    if (record && record.value().sealed == *group.sealed) continue;
    return fmt::format("the disk: task group {} was sealed and is not", id.to_string());
  }
  return std::nullopt;
}

}  // namespace gantry::sim
