// Tasks: create, read, list, cancel; and what /v1 adds to the queue's API.
#include <fmt/format.h>

#include "base/text.h"
#include "core/queue/create.h"
#include "core/queue/resolve.h"
#include "core/queue/run.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "wire/task_definition.h"

namespace gantry::server {
namespace {

constexpr std::size_t list_max = 200;

/// queue:create-task for this priority or a higher one, and everything the task itself may do.
void require_create(const Call& call, const wire::TaskDefinition& task) {
  for (const auto& scope : task.scopes) {
    if (!access::is_valid_scope(scope)) {
      throw Error(ErrorCode::invalid_input, fmt::format("scopes: \"{}\" is not a scope", shorten(scope, 80)));
    }
    call.require(scope);
  }
  for (const auto& route : task.routes) call.require("queue:route:" + route);
  call.require("queue:create-task:project:" + task.project);
  call.require("queue:scheduler-id:" + task.scheduler);
  for (int level = static_cast<int>(task.priority); level < wire::priority_count; ++level) {
    auto name = name_of(static_cast<wire::Priority>(level));
    if (call.identity.require(fmt::format("queue:create-task:{}:{}", name, task.task_queue))) return;
  }
  call.require(fmt::format("queue:create-task:{}:{}", name_of(task.priority), task.task_queue));
}

Async<net::Response> create_task(Services& services, Call& call) {
  TaskId id = call.task_id();
  std::string body = co_await json_body(call);
  auto rule_of = [&](std::string_view queue) {
    bool native = services.commits.state().is_native_queue(std::string(queue));
    return native ? wire::PayloadRule::native : wire::PayloadRule::any_object;
  };
  wire::TaskDefinition definition = value_or_throw(wire::parse_task_definition(id, body, rule_of));
  require_create(call, definition);
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  auto task = queue::create(tx, id, definition);
  std::string answer = task ? status_body(*task.value()) : std::string();
  std::uint64_t sequence = task ? task.value()->sequence : 0;
  std::uint64_t version = services.commits.stage(tx, task.has_value());
  if (task) {
    services.cold.known().add(id);
    if (!services.cold.definitions().find(sequence)) {
      auto bytes = std::make_shared<const std::string>(std::move(definition.canonical));
      services.cold.definitions().put(sequence, std::move(bytes), version);
    }
  }
  co_await services.commits.settled(version);
  value_or_throw(std::move(task));
  co_return json_response(std::move(answer));
}

/// A copy of the task as it is now, once that is durable.
Async<state::Task> durable_task(Services& services, TaskId id) {
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  auto found = queue::find_task(tx, id);
  std::optional<state::Task> task;
  if (found) task = *found.value();
  std::uint64_t version = services.commits.stage(tx);
  co_await services.commits.settled(version);
  value_or_throw(std::move(found));
  co_return std::move(*task);
}

Async<net::Response> task_status(Services& services, Call& call) {
  TaskId id = call.task_id();
  call.require("queue:status:" + id.to_string());
  state::Task task = co_await durable_task(services, id);
  co_return json_response(status_body(task));
}

Async<net::Response> task_definition(Services& services, Call& call) {
  TaskId id = call.task_id();
  call.require("queue:get-task:" + id.to_string());
  state::Task task = co_await durable_task(services, id);
  state::Value definition = co_await services.cold.definition(task.sequence);
  co_return json_response(*definition);
}

Async<net::Response> cancel_task(Services& services, Call& call) {
  TaskId id = call.task_id();
  co_await call.body(body_bytes_max);
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  auto task = queue::find_task(tx, id);
  if (task) {
    const state::Task& found = *task.value();
    std::string scope =
        fmt::format("queue:cancel-task:{}/{}/{}", found.scheduler, found.group.to_string(), id.to_string());
    if (!call.identity.require("queue:cancel-task-in-project:" + found.project)) call.require(scope);
    task = queue::cancel(tx, id);
  }
  std::string answer = task ? status_body(*task.value()) : std::string();
  std::uint64_t version = services.commits.stage(tx, task.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(task));
  co_return json_response(std::move(answer));
}

/// `?wait=20s` answers once the task is resolved, or after so long as it is then; with `&while=pending` also once it is
/// in another state than that.
Async<net::Response> native_task(Services& services, Call& call) {
  TaskId id = call.task_id();
  call.require("queue:status:" + id.to_string());
  call.require("queue:get-task:" + id.to_string());
  Duration wait{};
  if (auto text = call.query_value("wait"); !text.empty()) {
    auto parsed = parse_duration(text);
    if (!parsed) throw Error(ErrorCode::invalid_input, "wait: must be a duration such as 20s");
    wait = std::min(*parsed, services.long_poll);
  }
  std::optional<wire::TaskState> during;
  if (auto text = call.query_value("while"); !text.empty()) {
    during = wire::parse_task_state(text);
    if (!during) throw Error(ErrorCode::invalid_input, fmt::format("while: \"{}\" is not a state", shorten(text, 40)));
  }
  auto goes_on = [&](const state::Task& task) { return !task.resolved() && (!during || task.state() == *during); };
  Duration until = services.env.uptime() + wait;
  state::Task task = co_await durable_task(services, id);
  while (goes_on(task) && services.env.uptime() < until && services.may_wait()) {
    Duration left = until - services.env.uptime();
    Wake wake = co_await services.task_lines[id].wait(services.env, left, call.request.peer_watch);
    task = co_await durable_task(services, id);
    if (wake == Wake::gone) break;
  }
  auto line = services.task_lines.find(id);
  if (line != services.task_lines.end() && line->second.waiting() == 0) services.task_lines.erase(line);
  state::Value definition = co_await services.cold.definition(task.sequence);
  co_return json_response(native_task_body(task, *definition));
}

/// Tasks in memory: all that are not resolved, and the most recent others. Newest first.
Async<net::Response> list_tasks(Services& services, Call& call) {
  call.require("queue:list-tasks");
  std::optional<wire::TaskState> only;
  if (auto text = call.query_value("state"); !text.empty()) {
    only = wire::parse_task_state(text);
    if (!only) throw Error(ErrorCode::invalid_input, fmt::format("state: \"{}\" is not one", shorten(text, 40)));
  }
  std::vector<const state::Task*> tasks;
  services.commits.state().table<state::Task>().for_each([&](const state::Task& task) {
    if (!only || task.state() == *only) tasks.push_back(&task);
  });
  std::size_t count = std::min(tasks.size(), list_max);
  auto newest = [](const state::Task* a, const state::Task* b) { return a->sequence > b->sequence; };
  std::partial_sort(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(count), tasks.end(), newest);
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("tasks").begin_array();
  for (std::size_t i = 0; i < count; ++i) {
    out.begin_object().field("created", tasks[i]->created).key("status");
    append_status(out, *tasks[i]);
    out.end_object();
  }
  out.end_array().field("more", count < tasks.size()).end_object();
  co_await services.commits.settled(services.commits.state().last_commit());
  co_return json_response(std::move(body));
}

}  // namespace

void add_task_routes(Router& router, Services& services) {
  auto bind = [&services](Async<net::Response> (*handler)(Services&, Call&)) {
    return [&services, handler](Call& call) { return handler(services, call); };
  };
  const std::string queue = "/api/queue/v1";
  using enum net::Method;
  router.add({put, queue + "/task/:taskId", "createTask", Dialect::taskcluster, bind(create_task), true, {}});
  router.add({get, queue + "/task/:taskId", "task", Dialect::taskcluster, bind(task_definition), true, {}});
  router.add({get, queue + "/task/:taskId/status", "status", Dialect::taskcluster, bind(task_status), true, {}});
  router.add({post, queue + "/task/:taskId/cancel", "cancelTask", Dialect::taskcluster, bind(cancel_task), true, {}});
  router.add({get, "/v1/tasks", "listTasks", Dialect::native, bind(list_tasks), true, {"state"}});
  router.add({get, "/v1/tasks/:taskId", "getTask", Dialect::native, bind(native_task), true, {"wait", "while"}});
}

}  // namespace gantry::server
