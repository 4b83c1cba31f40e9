// Groups of tasks that depend on each other: how they are made, and what is done to all of one.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "sim/user.h"

namespace gantry::sim {
namespace {

constexpr Duration group_life_max = hours(4);
/// More than one step of larger work releases, cancels or changes.
constexpr std::int64_t large_min = 105;
constexpr std::int64_t large_max = 125;
constexpr double large_chance = 0.06;  // of the groups, until there was one
constexpr std::int64_t dependencies_max = 4;
constexpr double earlier_dependency_chance = 0.08;
constexpr double own_dependency_chance = 0.02;
constexpr double define_chance = 0.06;
constexpr double too_early_chance = 0.15;

}  // namespace

/// In an order in which each comes after what it depends on.
void User::plan_members(Shape shape, TaskGroupId group, std::vector<TaskId>& ids) {
  Random& random = env_.random_source();
  bool large = shape == Shape::large;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    TaskPlan plan = plan_task(large ? task_queues_.front() : task_queues_[random.below(task_queues_.size())]);
    plan.group = group;
    bool last = i + 1 == ids.size();
    bool on_all = (shape == Shape::fan_in || large) && last;
    if (on_all) plan.dependencies.assign(ids.begin(), ids.end() - 1);
    if (i > 0 && !on_all) {
      if (shape == Shape::chain) plan.dependencies = {ids[i - 1]};
      if (shape == Shape::fan_out || large) plan.dependencies = {ids.front()};
      if (shape == Shape::any) {
        auto count = std::min(random.between(0, dependencies_max), static_cast<std::int64_t>(i));
        for (std::int64_t n = 0; n < count; ++n) {
          TaskId other = ids[random.below(i)];
          bool fresh = std::ranges::find(plan.dependencies, other) == plan.dependencies.end();
          if (fresh) plan.dependencies.push_back(other);
        }
      }
    }
    if (!large && random.chance(earlier_dependency_chance)) add_earlier_dependency(plan);
    if (!large && random.chance(own_dependency_chance)) plan.dependencies.push_back(ids[i]);
    note_plan(ids[i], plan, !large && random.chance(define_chance));
  }
}

Async<> User::submit_group() {
  Random& random = env_.random_source();
  Shape shape = static_cast<Shape>(random.below(4));
  std::int64_t count = random.between(2, 7);
  if (!large_done_ && random.chance(large_chance)) {
    large_done_ = true;
    shape = Shape::large;
    count = random.between(large_min, large_max);
  }
  std::vector<TaskId> ids;
  for (std::int64_t i = 0; i < count; ++i) ids.push_back(TaskId::random(env_));
  TaskGroupId group = random.chance(0.5) ? TaskGroupId(ids.front()) : TaskGroupId::random(env_);
  plan_members(shape, group, ids);
  groups_.push_back(group);
  if (random.chance(too_early_chance)) co_await create_too_early(ids.back());
  scope_.spawn("group", look_after_group(group));
  bool large = shape == Shape::large;
  std::set<TaskId> missing;
  for (TaskId id : ids) {
    const auto& needs = world_.oracle.find(id)->definition.dependencies;
    bool possible = std::ranges::none_of(needs, [&](TaskId need) { return missing.contains(need); });
    bool created = possible && co_await create(id);
    if (!created) missing.insert(id);
    if (created && (!large || random.chance(0.05))) scope_.spawn("task", look_after(id));
  }
}

/// What it depends on was never sent, so it cannot be created.
Async<> User::create_too_early(TaskId id) {
  const TaskFacts& facts = *world_.oracle.find(id);
  bool possible = std::ranges::all_of(facts.definition.dependencies, [&](TaskId need) {
    return need == id || world_.oracle.find(need)->definition.group != facts.definition.group;
  });
  if (possible || facts.defined_only) co_return;
  CallOptions options;
  options.may_be_invalid = true;
  Answer answer = co_await api_.call(net::Method::put, task_path(id), bodies_.at(id), world_.root, options);
  if (answer.status == 400 || answer.again()) co_return;
  world_.fail(
      fmt::format("create: {} for task {}, which depends on tasks that do not exist", answer.status, id.to_string()));
}

Async<> User::look_after_group(TaskGroupId id) {
  Random& random = env_.random_source();
  auto acts = random.between(2, 6);
  for (std::int64_t i = 0; i < acts; ++i) {
    co_await env_.sleep(random.spread(milliseconds(200), group_life_max));
    co_await act_on_group(id);
  }
}

Async<> User::act_on_group(TaskGroupId id) {
  const GroupFacts& group = *world_.groups.find(id);
  bool exists =
      std::ranges::any_of(group.members, [&](TaskId task) { return world_.oracle.find(task)->created_us >= 0; });
  if (!exists) co_return;
  double roll = env_.random_source().unit();
  if (roll < 0.12) co_return co_await read_group(id);
  if (roll < 0.24) co_return co_await list_group(id);
  if (roll < 0.42) co_return co_await change_group_priority(id);
  if (roll < 0.64) co_return co_await set_pulls(id);
  if (roll < 0.76) co_return co_await join_late(id);
  if (roll < 0.88) co_return co_await seal(id);
  co_await seal(id);
  co_await cancel_group(id);
}

Async<> User::seal(TaskGroupId id) {
  world_.groups.seal_asked(id);
  Answer answer = co_await api_.call(net::Method::post, group_path(id) + "/seal", "", world_.root);
  if (!answer.ok()) {
    if (!answer.again()) world_.fail(fmt::format("seal: {} for task group {}", answer.status, id.to_string()));
    co_return;
  }
  json::value document = value_or_throw(parse_json(answer.body));
  world_.groups.saw_group(id, document.as_object(), answer.sent_us, now_us());
  if (!world_.groups.find(id)->sealed) world_.fail(fmt::format("seal: task group {} is open", id.to_string()));
}

Async<> User::cancel_group(TaskGroupId id) {
  world_.groups.cancel_asked(id, now_us());
  bool sealed = world_.groups.find(id)->sealed.has_value();
  Answer answer = co_await api_.call(net::Method::post, group_path(id) + "/cancel", "", world_.root);
  bool refused = answer.status == 409 && !sealed;
  if (!answer.ok()) {
    if (!refused && !answer.again()) {
      world_.fail(fmt::format("cancel: {} for task group {}", answer.status, id.to_string()));
    }
    co_return;
  }
  json::value document = value_or_throw(parse_json(answer.body));
  world_.groups.cancelled(id, document.as_object(), now_us());
}

Async<> User::change_group_priority(TaskGroupId id) {
  auto priority = static_cast<wire::Priority>(env_.random_source().below(wire::priority_count));
  std::size_t wish = world_.groups.priority_asked(id, priority, now_us());
  std::string body = fmt::format(R"({{"newPriority":"{}"}})", name_of(priority));
  Answer answer = co_await api_.call(net::Method::post, group_path(id) + "/priority", body, world_.root);
  if (!answer.ok()) {
    if (!answer.again()) world_.fail(fmt::format("priority: {} for task group {}", answer.status, id.to_string()));
    co_return;
  }
  json::value document = value_or_throw(parse_json(answer.body));
  world_.groups.prioritized(id, wish, document.as_object());
}

Async<> User::set_pulls(TaskGroupId id) {
  bool pulls = env_.random_source().chance(0.8);
  std::size_t wish = world_.groups.pulls_asked(id, pulls, now_us());
  std::string target = fmt::format("/v1/groups/{}/pulls", id.to_string());
  Answer answer = co_await api_.call(net::Method::put, target, fmt::format(R"({{"pulls":{}}})", pulls), world_.root);
  if (!answer.ok()) {
    if (!answer.again()) world_.fail(fmt::format("pulls: {} for task group {}", answer.status, id.to_string()));
    co_return;
  }
  json::value document = value_or_throw(parse_json(answer.body));
  world_.groups.pulls_set(id, wish);
  world_.groups.saw_group(id, document.as_object(), answer.sent_us, now_us());
  bool shown = document.at("pulls").as_bool();
  if (shown != pulls) world_.fail(fmt::format("pulls: task group {} shows {}", id.to_string(), shown));
}

/// One more member, which a sealed group refuses.
Async<> User::join_late(TaskGroupId id) {
  if (time_left() < hours(1)) co_return;
  Random& random = env_.random_source();
  TaskId task = TaskId::random(env_);
  TaskPlan plan = plan_task(task_queues_[random.below(task_queues_.size())]);
  plan.group = id;
  note_plan(task, plan, false);
  scope_.spawn("task", look_after(task));
}

}  // namespace gantry::sim
