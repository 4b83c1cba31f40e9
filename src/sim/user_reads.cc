// What a user reads, and what it must say.
#include <fmt/format.h>

#include "base/text.h"
#include "sim/user.h"

namespace gantry::sim {
namespace {

constexpr int read_attempts_max = 20;
constexpr Duration follow_max = minutes(50);
/// A new task may be listed so late among those that depend on another.
constexpr std::int64_t listed_late_us_max = 60'000'000;

/// A definition has the priority that its task has now; everything else is as it was created.
std::string with_priority_of(std::string definition, const std::string& other) {
  static constexpr std::string_view key = ",\"priority\":\"";
  auto at = definition.find(key);
  auto from = other.find(key);
  if (at == std::string::npos || from == std::string::npos) return definition;
  at += key.size();
  from += key.size();
  definition.replace(at, definition.find('"', at) - at, other.substr(from, other.find('"', from) - from));
  return definition;
}

std::set<TaskId> listed_in(const json::object& answer) {
  std::set<TaskId> ids;
  for (const json::value& task : answer.at("tasks").as_array()) {
    ids.insert(TaskId::parse(std::string_view(task.at("status").at("taskId").as_string())).value());
  }
  return ids;
}

}  // namespace

Async<> User::read_status(TaskId id) {
  Answer answer = co_await api_.call(net::Method::get, task_path(id) + "/status", "", world_.root);
  api_.saw_status(answer, "status");
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "status");
}

Async<> User::read_definition(TaskId id) {
  Answer answer = co_await api_.call(net::Method::get, task_path(id), "", world_.root);
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "definition");
  if (!answer.ok()) co_return;
  if (answer.body != with_priority_of(world_.oracle.find(id)->definition.canonical, answer.body)) {
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
  bool had_run = !world_.oracle.find(id)->runs.empty();
  Answer list = co_await api_.call(net::Method::get, task_path(id) + "/runs/0/artifacts", "", world_.root);
  if (list.status == 404 && had_run) world_.oracle.saw_no_task(id, list.sent_us, "artifacts");
  for (const auto& [key, artifact] : artifacts) {
    if (key.first == 0 && list.ok() && list.body.find(key.second) == std::string::npos) {
      world_.fail(fmt::format("artifacts of task {}: {} is not listed", id.to_string(), key.second));
    }
  }
}

/// Of the newest run, as far as it is or to its end.
Async<> User::read_log(TaskId id) {
  const TaskFacts& facts = *world_.oracle.find(id);
  if (facts.runs.empty()) co_return;
  wire::RunRef run{id, static_cast<int>(facts.runs.size()) - 1};
  bool follow = env_.random_source().chance(0.5);
  std::string target = fmt::format("/v1/tasks/{}/runs/{}/log?follow={}", id.to_string(), run.run, follow);
  CallOptions options{follow ? follow_max : seconds(30)};
  Answer answer = co_await api_.call(net::Method::get, target, "", world_.root, options);
  if (answer.ok()) world_.native.check_log(run, answer.body);
}

Async<> User::read_dependents(TaskId id) {
  Answer answer = co_await api_.call(net::Method::get, task_path(id) + "/dependents", "", world_.root);
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "dependents");
  if (!answer.ok()) co_return;
  json::value document = value_or_throw(parse_json(answer.body));
  std::set<TaskId> listed = listed_in(document.as_object());
  for (TaskId dependent : world_.oracle.dependents(id)) {
    const TaskFacts& facts = *world_.oracle.find(dependent);
    std::int64_t since_us = std::max(facts.created_us, world_.watch.last_trouble_us()) + listed_late_us_max;
    bool expected = facts.created_us >= 0 && since_us <= answer.sent_us;
    if (!expected || listed.contains(dependent)) continue;
    world_.fail(fmt::format("dependents of task {}: {} is not listed", id.to_string(), dependent.to_string()));
  }
}

Async<> User::read_group(TaskGroupId id) {
  bool natively = env_.random_source().chance(0.5);
  std::string target = natively ? "/v1/groups/" + id.to_string() : group_path(id);
  Answer answer = co_await api_.call(net::Method::get, target, "", world_.root);
  if (!answer.ok()) co_return;
  json::value document = value_or_throw(parse_json(answer.body));
  world_.groups.saw_group(id, document.as_object(), answer.sent_us, now_us());
}

Async<> User::list_group(TaskGroupId id) {
  Answer answer = co_await api_.call(net::Method::get, group_path(id) + "/list", "", world_.root);
  if (!answer.ok()) co_return;
  json::value document = value_or_throw(parse_json(answer.body));
  world_.groups.saw_group(id, document.as_object(), answer.sent_us, now_us());
  world_.groups.saw_list(id, listed_in(document.as_object()), answer.sent_us);
}

Async<> User::look_around() {
  for (std::string target : {"/v1/tasks", "/v1/nodes", "/v1/ready", "/v1/tasks?state=running"}) {
    co_await api_.call(net::Method::get, target, "", world_.root);
  }
}

Async<> User::read_last(TaskId id) {
  for (int attempt = 0; attempt < read_attempts_max; ++attempt) {
    Answer answer = co_await api_.call(net::Method::get, task_path(id) + "/status", "", world_.root);
    api_.saw_status(answer, "last status");
    if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "last status");
    if (!answer.again()) co_return;
    co_await env_.sleep(seconds(1));
  }
}

Async<> User::read_all() {
  std::vector<TaskId> ids;
  for (const auto& [id, facts] : world_.oracle.tasks()) ids.push_back(id);
  for (TaskId id : ids) {
    co_await read_last(id);
    const TaskFacts& facts = *world_.oracle.find(id);
    if (facts.created_us >= 0 && !facts.resolved) {
      world_.fail(fmt::format("task {} is not resolved in the end", id.to_string()));
    }
  }
  for (TaskGroupId id : groups_) co_await list_group(id);
}

}  // namespace gantry::sim
