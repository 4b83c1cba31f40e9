#include "server/api/task_lookup.h"

#include <fmt/format.h>

#include "server/api/answers.h"
#include "server/api/pages.h"

namespace gantry::server {

Async<std::optional<state::Task>> find_durable_task(Services& services, TaskId id) {
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  const state::Task* found = tx.find<state::Task>(id);
  std::optional<state::Task> task;
  if (found) task = *found;
  co_await services.commits.settled(services.commits.stage(tx));
  co_return task;
}

Async<state::Task> durable_task(Services& services, TaskId id) {
  std::optional<state::Task> task = co_await find_durable_task(services, id);
  if (!task) throw Error(ErrorCode::not_found, fmt::format("there is no task {}", id.to_string()));
  co_return std::move(*task);
}

std::string_view current_definition(wire::Priority now, const std::string& stored, std::string& changed) {
  // In the canonical spelling the first of these is the key: quotes inside of strings are escaped.
  static constexpr std::string_view key = ",\"priority\":\"";
  std::size_t at = stored.find(key);
  std::size_t end = at == std::string::npos ? at : stored.find('"', at + key.size());
  if (end == std::string::npos) throw Error(ErrorCode::corrupt, "a stored definition has no priority");
  at += key.size();
  if (std::string_view(stored).substr(at, end - at) == name_of(now)) return stored;
  changed = stored;
  changed.replace(at, end - at, name_of(now));
  return changed;
}

Async<std::string> read_definition(Services& services, const state::Task& task) {
  state::Value stored = co_await services.cold.definition(task.sequence);
  std::string changed;
  co_return std::string(current_definition(task.priority, *stored, changed));
}

access::ScopeExpression scopes_to(std::string_view verb, const state::Task& task) {
  using access::ScopeExpression;
  std::string group = fmt::format("{}/{}", task.scheduler, task.group.to_string());
  return ScopeExpression::any_of({
      fmt::format("queue:{}-task:{}/{}", verb, group, task.id.to_string()),
      fmt::format("queue:{}-task-in-project:{}", verb, task.project),
      ScopeExpression::all_of({fmt::format("queue:{}-task", verb), "assume:scheduler-id:" + group}),
  });
}

Async<std::size_t> append_tasks(Services& services, std::vector<TaskId> ids, std::string& body, JsonWriter& out) {
  std::size_t done = 0;
  for (TaskId id : ids) {
    if (done > 0 && body.size() >= page_bytes_max) break;
    ++done;
    std::optional<state::Task> task = co_await find_durable_task(services, id);
    if (!task) continue;
    std::string definition = co_await read_definition(services, *task);
    out.begin_object().key("status");
    append_status(out, *task);
    out.key("task").raw(definition).end_object();
  }
  co_return done;
}

}  // namespace gantry::server
