#include "sim/user.h"

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::sim {
namespace {

constexpr Duration submission_mean = minutes(25);
constexpr Duration deadline_min = minutes(4);
constexpr Duration deadline_max = hours(6);
/// Nothing new in the end, so that everything is resolved when the simulation ends.
constexpr Duration last_submission_before_end = minutes(30);
constexpr Duration last_deadline_before_end = minutes(3);
constexpr int create_attempts_max = 30;
constexpr Duration backoff_min = milliseconds(300);
constexpr Duration backoff_max = seconds(15);

constexpr double group_chance = 0.45;
constexpr double dependency_chance = 0.12;  // of a task that is not in a group
constexpr double defined_chance = 0.04;

}  // namespace

User::User(ClientWorld& world, std::string name, std::vector<std::string> task_queues)
    : world_(world),
      task_queues_(std::move(task_queues)),
      env_(world.clock, world.seed, name),
      api_(world, env_, name),
      scope_(env_.executor(), name) {}

Duration User::time_left() { return Duration((world_.end_us - env_.uptime_us()) / 1000); }

TaskPlan User::plan_task(const std::string& task_queue) {
  Random& random = env_.random_source();
  TaskPlan plan;
  plan.task_queue = task_queue;
  plan.priority = static_cast<wire::Priority>(random.below(wire::priority_count));
  plan.any_outcome = random.chance(0.35);
  plan.retries = static_cast<int>(random.below(6));
  plan.created = env_.now();
  plan.deadline =
      plan.created + std::min(random.spread(deadline_min, deadline_max), time_left() - last_deadline_before_end);
  return plan;
}

void User::note_plan(TaskId id, const TaskPlan& plan, bool defined_only) {
  std::string body = definition_of(plan, env_.random_source());
  auto any = [](std::string_view) { return wire::PayloadRule::any_object; };
  auto definition = value_or_throw(wire::parse_task_definition(id, body, any));
  world_.groups.plan_member(world_.oracle.plan(id, std::move(definition), defined_only), now_us());
  bodies_.emplace(id, std::move(body));
}

TaskId User::earlier_task() {
  return created_.empty() ? TaskId() : created_[env_.random_source().below(created_.size())];
}

void User::add_earlier_dependency(TaskPlan& plan) {
  TaskId earlier = earlier_task();
  bool fresh = std::ranges::find(plan.dependencies, earlier) == plan.dependencies.end();
  if (!earlier.empty() && fresh) plan.dependencies.push_back(earlier);
}

TaskId User::plan_single() {
  Random& random = env_.random_source();
  TaskId id = TaskId::random(env_);
  TaskPlan plan = plan_task(task_queues_[random.below(task_queues_.size())]);
  if (random.chance(dependency_chance)) {
    auto count = random.between(1, 3);
    for (std::int64_t i = 0; i < count; ++i) add_earlier_dependency(plan);
  }
  note_plan(id, plan, random.chance(defined_chance));
  return id;
}

Async<> User::submit() {
  Random& random = env_.random_source();
  for (;;) {
    co_await env_.sleep(random.until_next(submission_mean));
    if (time_left() < last_submission_before_end) co_return;
    if (random.chance(group_chance)) {
      scope_.spawn("group", submit_group());
      continue;
    }
    auto count = random.chance(0.15) ? random.between(6, 14) : random.between(1, 3);
    for (std::int64_t i = 0; i < count; ++i) scope_.spawn("task", look_after(plan_single()));
    if (random.chance(0.2)) co_await look_around();
  }
}

Async<> User::look_after(TaskId id) {
  Random& random = env_.random_source();
  bool created = co_await create(id);
  if (!created) co_return;
  auto acts = random.between(1, 5);
  for (std::int64_t i = 0; i < acts; ++i) {
    co_await env_.sleep(random.spread(milliseconds(200), hours(3)));
    co_await act(id);
  }
}

Async<> User::act(TaskId id) {
  double roll = env_.random_source().unit();
  if (roll < 0.18) co_return co_await read_status(id);
  if (roll < 0.26) co_return co_await read_definition(id);
  if (roll < 0.34) co_return co_await read_natively(id);
  if (roll < 0.39) co_return co_await read_artifacts(id);
  if (roll < 0.45) co_return co_await read_log(id);
  if (roll < 0.49) co_return co_await read_dependents(id);
  if (roll < 0.56) co_return co_await create_again(id);
  if (roll < 0.63) co_return co_await overwrite(id);
  if (roll < 0.68) co_return co_await schedule(id);
  if (roll < 0.78) co_return co_await change_priority(id);
  if (roll < 0.90) co_return co_await rerun(id);
  co_await cancel(id);
}

/// True once it is acknowledged. The same request is repeated, as clients do.
Async<bool> User::create(TaskId id) {
  const TaskFacts& facts = *world_.oracle.find(id);
  std::string target = task_path(id) + (facts.defined_only ? "/define" : "");
  net::Method method = facts.defined_only ? net::Method::post : net::Method::put;
  for (int attempt = 0; attempt < create_attempts_max; ++attempt) {
    // Later the server may refuse it, by its own clock.
    bool in_time =
        facts.definition.deadline > env_.now() + minutes(3) && facts.definition.created + minutes(10) > env_.now();
    if (!in_time) co_return false;
    Answer answer = co_await api_.call(method, target, bodies_.at(id), world_.root);
    api_.saw_status(answer, "create");
    if (answer.ok()) {
      created_.push_back(id);
      co_return true;
    }
    bool sealed = answer.status == 409 && world_.groups.find(facts.definition.group)->seal_asked;
    if (sealed) co_return false;
    if (!answer.again()) {
      world_.fail(fmt::format("create: {} for a proper task: {}", answer.status, shorten(answer.body, 300)));
      co_return false;
    }
    co_await env_.sleep(env_.random_source().spread(backoff_min, backoff_max));
  }
  co_return false;
}

}  // namespace gantry::sim
