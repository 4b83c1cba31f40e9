// Tasks: create, define, schedule, rerun, cancel, re-prioritise.
#include <fmt/format.h>

#include "base/text.h"
#include "core/queue/create.h"
#include "core/queue/priority.h"
#include "core/queue/resolve.h"
#include "core/queue/run.h"
#include "core/queue/schedule.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/task_lookup.h"
#include "wire/task_definition.h"

namespace gantry::server {
namespace {

using access::ScopeExpression;
using TaskResult = Result<const state::Task*>;

/// Everything the task itself may do, its routes, project and scheduler, and creating tasks of this priority or a
/// higher one.
ScopeExpression scopes_to_create(const wire::TaskDefinition& task) {
  std::vector<ScopeExpression> all;
  for (const auto& scope : task.scopes) all.emplace_back(scope);
  for (const auto& route : task.routes) all.emplace_back("queue:route:" + route);
  all.emplace_back("queue:create-task:project:" + task.project);
  all.emplace_back("queue:scheduler-id:" + task.scheduler);
  std::vector<ScopeExpression> levels;
  for (int level = wire::priority_count - 1; level >= static_cast<int>(task.priority); --level) {
    auto name = name_of(static_cast<wire::Priority>(level));
    levels.emplace_back(fmt::format("queue:create-task:{}:{}", name, task.task_queue));
  }
  all.push_back(ScopeExpression::any_of(std::move(levels)));
  return ScopeExpression::all_of(std::move(all));
}

void require_create(const Call& call, const wire::TaskDefinition& task) {
  for (const auto& scope : task.scopes) {
    if (access::is_valid_scope(scope)) continue;
    throw Error(ErrorCode::invalid_input, fmt::format("scopes: \"{}\" is not a scope", shorten(scope, 80)));
  }
  call.require_expression(scopes_to_create(task));
}

Async<net::Response> create(Services& services, Call& call, queue::Start start) {
  TaskId id = call.task_id();
  std::string body = co_await json_body(call);
  auto rule_of = [&](std::string_view queue) {
    bool native = services.commits.state().is_native_queue(std::string(queue));
    return native ? wire::PayloadRule::native : wire::PayloadRule::any_object;
  };
  wire::TaskDefinition definition = value_or_throw(wire::parse_task_definition(id, body, rule_of));
  require_create(call, definition);
  auto facts = co_await services.cold.ensure_for_create(id, definition.group, definition.dependencies);
  auto tx = services.commits.begin();
  auto task = queue::create(tx, id, definition, start, facts);
  std::string answer = task ? status_body(*task.value()) : std::string();
  std::uint64_t sequence = task ? task.value()->sequence : 0;
  std::uint64_t version = services.commits.stage(tx, task.has_value());
  if (task) {
    services.cold.known().add(id, sequence);
    if (definition.group != id) services.cold.known_groups().add(definition.group);
    if (!services.cold.definitions().find(sequence)) {
      auto bytes = std::make_shared<const std::string>(std::move(definition.canonical));
      services.cold.definitions().put(sequence, std::move(bytes), version);
    }
  }
  co_await services.commits.settled(version);
  value_or_throw(std::move(task));
  co_return json_response(std::move(answer));
}

Async<net::Response> create_task(Services& services, Call& call) {
  return create(services, call, queue::Start::when_ready);
}
Async<net::Response> define_task(Services& services, Call& call) {
  return create(services, call, queue::Start::when_scheduled);
}

/// Loads the task, checks that the caller may do `verb` to it, and does it.
Async<net::Response> change_task(Services& services, Call& call, std::string_view verb,
                                 TaskResult (*change)(state::Transaction&, TaskId)) {
  TaskId id = call.task_id();
  co_await call.body(body_bytes_max);
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  TaskResult task = queue::find_task(tx, id);
  if (task) {
    auto allowed = call.identity.require_expression(scopes_to(verb, *task.value()));
    task = allowed ? change(tx, id) : TaskResult(allowed.error());
  }
  std::string answer = task ? status_body(*task.value()) : std::string();
  std::uint64_t version = services.commits.stage(tx, task.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(task));
  co_return json_response(std::move(answer));
}

Async<net::Response> schedule_task(Services& services, Call& call) {
  return change_task(services, call, "schedule", queue::schedule);
}
Async<net::Response> rerun_task(Services& services, Call& call) {
  return change_task(services, call, "rerun", queue::rerun);
}
Async<net::Response> cancel_task(Services& services, Call& call) {
  return change_task(services, call, "cancel", queue::cancel);
}

Async<net::Response> change_priority(Services& services, Call& call) {
  TaskId id = call.task_id();
  wire::Priority priority = read_new_priority(co_await json_body(call));
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  TaskResult task = queue::find_task(tx, id);
  if (task) {
    auto allowed = call.identity.require_expression(
        ScopeExpression::any_of({"queue:change-task-priority:" + id.to_string(),
                                 "queue:change-task-priority-in-queue:" + task.value()->task_queue}));
    task = allowed ? queue::change_priority(tx, id, priority) : TaskResult(allowed.error());
  }
  std::string answer = task ? status_body(*task.value()) : std::string();
  std::uint64_t version = services.commits.stage(tx, task.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(task));
  co_return json_response(std::move(answer));
}

}  // namespace

wire::Priority read_new_priority(const std::string& body) {
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  std::string_view text = reader.required_text("newPriority", {});
  auto priority = wire::parse_priority(text);
  if (!priority || text == "normal") {
    reader.fail(
        "newPriority",
        fmt::format("\"{}\" is not one of highest, very-high, high, medium, low, very-low, lowest", shorten(text, 40)));
  }
  value_or_throw(reader.finish());
  return *priority;
}

void add_task_change_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string task = "/api/queue/v1/task/:taskId";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  router.add({put, task, "createTask", tc, bind(create_task), true, {}});
  router.add({post, task + "/define", "defineTask", tc, bind(define_task), true, {}});
  router.add({post, task + "/schedule", "scheduleTask", tc, bind(schedule_task), true, {}});
  router.add({post, task + "/rerun", "rerunTask", tc, bind(rerun_task), true, {}});
  router.add({post, task + "/cancel", "cancelTask", tc, bind(cancel_task), true, {}});
  router.add({post, task + "/priority", "changeTaskPriority", tc, bind(change_priority), true, {}});
}

}  // namespace gantry::server
