#include "agent/task/scopes.h"

#include <algorithm>

#include <fmt/format.h>

#include "wire/scopes.h"

namespace gantry::agent {

std::vector<std::string> task_scopes(const RunContext& run) {
  std::vector<std::string> scopes;
  const json::object* task = run.task ? run.task->if_object() : nullptr;
  const json::value* list = task ? task->if_contains("scopes") : nullptr;
  if (list && list->is_array()) {
    for (const json::value& scope : list->get_array()) {
      if (scope.is_string()) scopes.emplace_back(scope.get_string());
    }
  }
  scopes.push_back(fmt::format("queue:create-artifact:{}/{}", run.run.task.to_string(), run.run.run));
  return scopes;
}

Async<> require_scope(RunContext& run, std::string scope, std::string do_what) {
  if (!run.scopes) run.scopes = co_await run.server.current_scopes(run.signer);
  const std::string of_pool = fmt::format("{}:{}", scope, run.settings.task_queue);
  bool enough = std::ranges::any_of(*run.scopes, [&](const std::string& held) {
    return wire::satisfies(held, scope) || wire::satisfies(held, of_pool);
  });
  if (enough) co_return;
  throw Error(ErrorCode::not_authorized, fmt::format("Insufficient scopes to {}", do_what),
              fmt::format("the task needs the scope {}", scope));
}

}  // namespace gantry::agent
