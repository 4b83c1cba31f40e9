// What a user does to a task that it has created.
#include <fmt/format.h>

#include "base/text.h"
#include "sim/user.h"

namespace gantry::sim {

std::optional<SeenTask> User::status_in(const Answer& answer) {
  if (!answer.ok()) return std::nullopt;
  json::value document = value_or_throw(parse_json(answer.body));
  return seen_of(document.at("status"));
}

/// A task that exists may be left as it is only because its time is over.
void User::check_refusal(const Answer& answer, TaskId id, std::string_view what) {
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, what);
  bool in_time = world_.oracle.find(id)->definition.deadline > env_.now() + clocks_differ_max;
  if (answer.status == 409 && in_time) {
    world_.fail(fmt::format("{}: 409 for task {} long before its deadline: {}", what, id.to_string(),
                            shorten(answer.body, 300)));
  }
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

Async<> User::schedule(TaskId id) {
  world_.oracle.schedule_asked(id);
  Answer answer = co_await api_.call(net::Method::post, task_path(id) + "/schedule", "", world_.root);
  api_.saw_status(answer, "schedule");
  check_refusal(answer, id, "schedule");
  auto status = status_in(answer);
  if (status && status->runs.empty()) world_.fail(fmt::format("schedule: task {} waits on", id.to_string()));
}

Async<> User::change_priority(TaskId id) {
  auto priority = static_cast<wire::Priority>(env_.random_source().below(wire::priority_count));
  TaskFacts& facts = *world_.oracle.find(id);
  std::size_t wish = facts.priority.ask(priority, now_us());
  std::string body = fmt::format(R"({{"newPriority":"{}"}})", name_of(priority));
  Answer answer = co_await api_.call(net::Method::post, task_path(id) + "/priority", body, world_.root);
  api_.saw_status(answer, "priority");
  if (answer.status == 404) world_.oracle.saw_no_task(id, answer.sent_us, "priority");
  if (answer.status == 409 && facts.resolved_runs.empty()) {
    world_.fail(fmt::format("priority: 409 for task {}, which is open", id.to_string()));
  }
  auto status = status_in(answer);
  if (!status) co_return;
  facts.priority.done(wish, now_us());
  if (status->priority != priority) world_.fail(fmt::format("priority: task {} keeps its own", id.to_string()));
}

Async<> User::cancel(TaskId id) {
  world_.oracle.cancel_asked(id);
  Answer answer = co_await api_.call(net::Method::post, task_path(id) + "/cancel", "", world_.root);
  api_.saw_status(answer, "cancel");
  check_refusal(answer, id, "cancel");
  auto status = status_in(answer);
  bool over = status && !status->runs.empty() && wire::is_resolved(status->runs.back().state);
  if (status && !over) world_.fail(fmt::format("cancel: task {} goes on", id.to_string()));
}

Async<> User::rerun(TaskId id) {
  world_.oracle.rerun_asked(id, now_us());
  Answer answer = co_await api_.call(net::Method::post, task_path(id) + "/rerun", "", world_.root);
  api_.saw_status(answer, "rerun");
  check_refusal(answer, id, "rerun");
  auto status = status_in(answer);
  bool open = status && !status->runs.empty() && !wire::is_resolved(status->runs.back().state);
  if (status && !open) world_.fail(fmt::format("rerun: task {} does not run again", id.to_string()));
}

}  // namespace gantry::sim
