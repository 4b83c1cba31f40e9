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
constexpr int read_attempts_max = 20;
constexpr Duration backoff_min = milliseconds(300);
constexpr Duration backoff_max = seconds(15);
/// Client's and server's wall clocks differ by at most so much.
constexpr Duration clocks_differ_max = minutes(4);

const std::string queue_api = "/api/queue/v1";
constexpr Duration run_time_min = minutes(1);
constexpr Duration run_time_max = minutes(40);
constexpr Duration follow_max = minutes(50);

/// Artifacts that the containers of native runs have, or have not.
std::string random_artifacts(Random& random) {
  if (random.chance(0.6)) return "{}";
  std::string file = fmt::format(R"("public/result.txt":{{"type":"file","path":"{}"}})", output_file);
  std::string directory = fmt::format(R"("public/out":{{"type":"directory","path":"{}"}})", output_directory);
  double roll = random.unit();
  if (roll < 0.5) return "{" + file + "}";
  if (roll < 0.8) return "{" + file + "," + directory + "}";
  if (roll < 0.9) return "{" + directory + "}";
  return "{" + file + R"(,"public/missing.txt":{"type":"file","path":"/nowhere.txt"}})";
}

std::string task_path(TaskId id) { return queue_api + "/task/" + id.to_string(); }

}  // namespace

User::User(ClientWorld& world, std::string name, std::vector<std::string> task_queues)
    : world_(world),
      task_queues_(std::move(task_queues)),
      env_(world.clock, world.seed, name),
      api_(world, env_, name),
      scope_(env_.executor(), name) {}

TaskId User::plan_task() {
  Random& random = env_.random_source();
  TaskId id = TaskId::random(env_);
  const std::string& queue = task_queues_[random.below(task_queues_.size())];
  auto priority = static_cast<wire::Priority>(random.below(wire::priority_count));
  Duration left((world_.end_us - env_.uptime_us()) / 1000);
  Duration life = std::min(random.spread(deadline_min, deadline_max), left - last_deadline_before_end);
  Time created = env_.now();
  std::int64_t memory_mb = random.between(64, 3000);
  auto run_time_s = std::chrono::duration_cast<seconds>(random.spread(run_time_min, run_time_max)).count();
  bool live_log = random.chance(0.85);
  std::string body =
      fmt::format(R"({{"taskQueueId":"{}","priority":"{}","retries":{},"created":"{}","deadline":"{}",)"
                  R"("payload":{{"image":"debian:12","command":["true"],"maxRunTime":{},"artifacts":{},)"
                  R"("features":{{"localLiveLog":{}}},"resources":{{"memory":"{}m"}}}},)"
                  R"("metadata":{{"name":"task {}","description":"of the simulation","owner":"sim@example.com",)"
                  R"("source":"https://example.com/sim"}}}})",
                  queue, name_of(priority), random.below(6), format_time(created), format_time(created + life),
                  run_time_s, random_artifacts(random), live_log, memory_mb, random.below(1'000'000));
  auto any = [](std::string_view) { return wire::PayloadRule::any_object; };
  world_.oracle.plan(id, value_or_throw(wire::parse_task_definition(id, body, any)));
  bodies_.emplace(id, std::move(body));
  return id;
}

Async<> User::submit() {
  Random& random = env_.random_source();
  for (;;) {
    co_await env_.sleep(random.until_next(submission_mean));
    Duration left((world_.end_us - env_.uptime_us()) / 1000);
    if (left < last_submission_before_end) co_return;
    auto count = random.chance(0.15) ? random.between(6, 16) : random.between(1, 4);
    for (std::int64_t i = 0; i < count; ++i) scope_.spawn("task", look_after(plan_task()));
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
  if (roll < 0.30) co_return co_await read_status(id);
  if (roll < 0.40) co_return co_await read_definition(id);
  if (roll < 0.52) co_return co_await read_natively(id);
  if (roll < 0.58) co_return co_await read_artifacts(id);
  if (roll < 0.64) co_return co_await read_log(id);
  if (roll < 0.74) co_return co_await create_again(id);
  if (roll < 0.84) co_return co_await overwrite(id);
  co_await cancel(id);
}

/// True once it is acknowledged. The same request is repeated, as clients do.
Async<bool> User::create(TaskId id) {
  for (int attempt = 0; attempt < create_attempts_max; ++attempt) {
    const TaskFacts& facts = *world_.oracle.find(id);
    // Later the server may refuse it, by its own clock.
    bool in_time =
        facts.definition.deadline > env_.now() + minutes(3) && facts.definition.created + minutes(10) > env_.now();
    if (!in_time) co_return false;
    Answer answer = co_await api_.call(net::Method::put, task_path(id), bodies_.at(id), world_.root);
    api_.saw_status(answer, "create");
    if (answer.ok()) co_return true;
    if (!answer.again()) {
      world_.fail(fmt::format("create: {} for a proper task: {}", answer.status, shorten(answer.body, 300)));
      co_return false;
    }
    co_await env_.sleep(env_.random_source().spread(backoff_min, backoff_max));
  }
  co_return false;
}

Async<> User::read_status(TaskId id) {
  Answer answer = co_await api_.call(net::Method::get, task_path(id) + "/status", "", world_.root);
  api_.saw_status(answer, "status");
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "status");
}

Async<> User::read_definition(TaskId id) {
  Answer answer = co_await api_.call(net::Method::get, task_path(id), "", world_.root);
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "definition");
  if (answer.ok() && answer.body != world_.oracle.find(id)->definition.canonical) {
    world_.fail(fmt::format("definition: task {} has another than it was created with", id.to_string()));
  }
}

Async<> User::read_natively(TaskId id) {
  std::string target = fmt::format("/v1/tasks/{}?wait={}s", id.to_string(), env_.random_source().below(20));
  Answer answer = co_await api_.call(net::Method::get, target, "", world_.root);
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "native task");
  api_.saw_status(answer, "native task");
}

Async<> User::read_artifacts(TaskId id) {
  const auto artifacts = world_.oracle.find(id)->artifacts;
  for (const auto& [key, artifact] : artifacts) {
    const auto& [run, name] = key;
    std::string target = fmt::format("{}/runs/{}/artifacts/{}", task_path(id), run, name);
    Answer answer = co_await api_.call(net::Method::get, target, "", world_.root);
    int expected = artifact.type == wire::StorageType::error ? 424 : 303;
    bool known_link = artifact.type == wire::StorageType::link;  // which may lead nowhere
    if (answer.again() || known_link || answer.status == expected) continue;
    world_.fail(fmt::format("artifact {} of task {}: {} instead of {}", name, id.to_string(), answer.status, expected));
  }
  Answer list = co_await api_.call(net::Method::get, task_path(id) + "/runs/0/artifacts", "", world_.root);
  if (list.status == 404) world_.oracle.saw_no_task(id, list.sent_us, "artifacts");
  for (const auto& [key, artifact] : artifacts) {
    if (key.first == 0 && list.ok() && list.body.find(key.second) == std::string::npos) {
      world_.fail(fmt::format("artifacts of task {}: {} is not listed", id.to_string(), key.second));
    }
  }
}

/// Of the newest run, as far as it is or to its end.
Async<> User::read_log(TaskId id) {
  const TaskFacts& facts = *world_.oracle.find(id);
  if (facts.runs_known == 0) co_return;
  wire::RunRef run{id, static_cast<int>(facts.runs_known) - 1};
  bool follow = env_.random_source().chance(0.5);
  std::string target = fmt::format("/v1/tasks/{}/runs/{}/log?follow={}", id.to_string(), run.run, follow);
  Answer answer = co_await api_.call(net::Method::get, target, "", world_.root, follow ? follow_max : seconds(30));
  if (answer.ok()) world_.native.check_log(run, answer.body);
}

Async<> User::create_again(TaskId id) {
  Answer answer = co_await api_.call(net::Method::put, task_path(id), bodies_.at(id), world_.root);
  api_.saw_status(answer, "create again");
  if (!answer.ok() && !answer.again()) {
    world_.fail(fmt::format("create again: {} for the same definition of task {}", answer.status, id.to_string()));
  }
}

Async<> User::overwrite(TaskId id) {
  std::string body = bodies_.at(id);
  auto at = body.find("\"task ");
  body.replace(at, 6, "\"other ");
  Answer answer = co_await api_.call(net::Method::put, task_path(id), std::move(body), world_.root);
  if (answer.again() || answer.status == 409) co_return;
  world_.fail(fmt::format("overwrite: {} for another definition of task {}", answer.status, id.to_string()));
}

Async<> User::cancel(TaskId id) {
  world_.oracle.cancel_asked(id);
  Answer answer = co_await api_.call(net::Method::post, task_path(id) + "/cancel", "", world_.root);
  api_.saw_status(answer, "cancel");
  const TaskFacts& facts = *world_.oracle.find(id);
  if (answer.ok() && !facts.resolved) world_.fail(fmt::format("cancel: task {} goes on", id.to_string()));
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "cancel");
  if (answer.status == 409 && facts.definition.deadline > env_.now() + clocks_differ_max) {
    world_.fail(fmt::format("cancel: 409 for task {} long before its deadline", id.to_string()));
  }
}

Async<> User::look_around() {
  for (std::string target : {"/v1/tasks", "/v1/nodes", "/v1/ready", "/v1/tasks?state=running"}) {
    co_await api_.call(net::Method::get, target, "", world_.root);
  }
}

Async<> User::read_all() {
  std::vector<TaskId> ids;
  for (const auto& [id, facts] : world_.oracle.tasks()) ids.push_back(id);
  for (TaskId id : ids) {
    for (int attempt = 0; attempt < read_attempts_max; ++attempt) {
      Answer answer = co_await api_.call(net::Method::get, task_path(id) + "/status", "", world_.root);
      api_.saw_status(answer, "last status");
      if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "last status");
      if (!answer.again()) break;
      co_await env_.sleep(seconds(1));
    }
    const TaskFacts& facts = *world_.oracle.find(id);
    if (facts.created_us >= 0 && !facts.resolved) {
      world_.fail(fmt::format("task {} is not resolved in the end", id.to_string()));
    }
  }
}

}  // namespace gantry::sim
