// Tasks as they are read: definitions, statuses, who depends on whom; and what /v1 adds to that.
#include <boost/unordered/unordered_flat_set.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/pages.h"
#include "server/api/task_lookup.h"

namespace gantry::server {
namespace {

constexpr std::size_t list_max = 200;
constexpr std::size_t task_ids_max = 100'000;  // of one bulk request

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
  co_return json_response(co_await read_definition(services, task));
}

/// The ids that a request names, each once; what is no task id names nothing.
std::vector<TaskId> read_task_ids(const Call& call, const std::string& body, std::string_view scope) {
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  const json::array* ids = reader.array("taskIds", task_ids_max);
  std::vector<TaskId> tasks;
  boost::unordered_flat_set<TaskId> seen;
  for (std::size_t i = 0; ids && i < ids->size(); ++i) {
    const json::string* text = (*ids)[i].if_string();
    if (!text) reader.fail(fmt::format("taskIds.{}", i), "must be a string");
    if (!text) break;
    call.require(fmt::format("{}:{}", scope, std::string_view(*text)));
    auto id = TaskId::parse(*text);
    if (id && seen.insert(*id).second) tasks.push_back(*id);
  }
  value_or_throw(reader.finish());
  return tasks;
}

/// {"<list>":[{"taskId":..., "<member>":...}]} of a page of the tasks that the body names.
Async<net::Response> many_tasks(Services& services, Call& call, std::string_view list, std::string_view scope,
                                bool definitions) {
  std::size_t limit = page_limit(call);
  std::vector<TaskId> ids = read_task_ids(call, co_await json_body(call), scope);
  std::size_t at = page_number(call);
  std::string body;
  JsonWriter out(body);
  out.begin_object().key(list).begin_array();
  for (std::size_t count = 0; at < ids.size() && count < limit && body.size() < page_bytes_max; ++at, ++count) {
    auto task = co_await find_durable_task(services, ids[at]);
    if (!task) continue;
    out.begin_object().field("taskId", task->id.to_string());
    if (definitions) {
      out.key("task").raw(co_await read_definition(services, *task));
    } else {
      append_status(out.key("status"), *task);
    }
    out.end_object();
  }
  out.end_array();
  if (at < ids.size()) out.field("continuationToken", page_token(std::to_string(at)));
  out.end_object();
  co_return json_response(std::move(body));
}

Async<net::Response> task_definitions(Services& services, Call& call) {
  return many_tasks(services, call, "tasks", "queue:get-task", true);
}
Async<net::Response> task_statuses(Services& services, Call& call) {
  return many_tasks(services, call, "statuses", "queue:status", false);
}

/// What was recorded as waiting for this task when it was created, whether it still does or not.
Async<net::Response> list_dependents(Services& services, Call& call) {
  TaskId id = call.task_id();
  call.require("queue:list-dependent-tasks:" + id.to_string());
  std::size_t limit = page_limit(call);
  std::string after = page_position(call);
  state::Task task = co_await durable_task(services, id);
  auto rows = co_await services.cold.scan(state::TableId::dependent, state::Key{task.sequence, after}, limit + 1);
  std::erase_if(rows, [&](const auto& row) { return row.key.sequence != task.sequence; });
  std::vector<TaskId> ids;
  for (const auto& row : rows) ids.push_back(TaskId::parse(row.key.name).value_or(TaskId()));
  if (ids.size() > limit) ids.pop_back();
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("taskId", id.to_string()).key("tasks").begin_array();
  std::size_t done = co_await append_tasks(services, ids, body, out);
  out.end_array();
  if (done < rows.size()) out.field("continuationToken", page_token(rows[done - 1].key.name));
  out.end_object();
  co_return json_response(std::move(body));
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
  co_return json_response(native_task_body(task, co_await read_definition(services, task)));
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
  Bind bind{services};
  const std::string queue = "/api/queue/v1";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  router.add({get, queue + "/task/:taskId", "task", tc, bind(task_definition), true, {}});
  router.add({post, queue + "/tasks", "tasks", tc, bind(task_definitions), true, page_keys()});
  router.add({post, queue + "/tasks/status", "statuses", tc, bind(task_statuses), true, page_keys()});
  router.add({get, queue + "/task/:taskId/status", "status", tc, bind(task_status), true, {}});
  router.add(
      {get, queue + "/task/:taskId/dependents", "listDependentTasks", tc, bind(list_dependents), true, page_keys()});
  router.add({get, "/v1/tasks", "listTasks", Dialect::native, bind(list_tasks), true, {"state"}});
  router.add({get, "/v1/tasks/:taskId", "getTask", Dialect::native, bind(native_task), true, {"wait", "while"}});
}

}  // namespace gantry::server
