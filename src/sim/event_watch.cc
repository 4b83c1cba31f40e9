#include "sim/event_watch.h"

#include <boost/json/monotonic_resource.hpp>
#include <fmt/format.h>

namespace gantry::sim {
namespace {

using wire::EventKind;

constexpr std::size_t rows_at_once = 256;

std::string_view text_in(const json::object& object, std::string_view key) { return object.at(key).as_string(); }

TaskId id_in(const json::object& object, std::string_view key) { return TaskId::parse(text_in(object, key)).value(); }

/// The state that a run has after an event of this kind.
std::string_view state_after(EventKind kind) {
  switch (kind) {
    case EventKind::task_completed: return "completed";
    case EventKind::task_failed: return "failed";
    case EventKind::task_exception: return "exception";
    default: return "";
  }
}

}  // namespace

void EventWatch::fail_task(TaskId id, std::string_view what) {
  fail_(fmt::format("events: task {}: {}", id.to_string(), what));
}

void EventWatch::fail_group(TaskGroupId id, std::string_view what) {
  fail_(fmt::format("events: task group {}: {}", id.to_string(), what));
}

void EventWatch::read(store::Store& store) {
  for (;;) {
    auto rows = store.scan(state::TableId::outbox, after_ ? &*after_ : nullptr, rows_at_once);
    for (const store::Entry& row : rows) read_row(row.value);
    if (!rows.empty()) after_ = rows.back().key;
    if (rows.size() < rows_at_once) return;
  }
}

void EventWatch::read_row(std::string_view text) {
  json::monotonic_resource memory;
  json::value document = value_or_throw(parse_json(text, &memory));
  const json::object& row = document.as_object();
  const json::value* status = row.if_contains("status");
  const json::object& subject = status ? status->as_object() : row.at("group").as_object();
  TaskGroupId group = id_in(subject, "taskGroupId");
  TaskId task = status ? id_in(subject, "taskId") : TaskId();
  if (status) status_is(task, subject);
  for (const json::value& element : row.at("events").as_array()) {
    ++events_;
    const json::object& event = element.as_object();
    EventKind kind = wire::parse_event_kind(text_in(event, "kind")).value();
    if (!wire::is_about_task(kind)) {
      group_event(group, kind);
    } else if (kind == EventKind::task_defined) {
      bool again = std::exchange(tasks_[task].defined, true);
      if (again) fail_task(task, "it is told twice that it was defined");
    } else if (kind != EventKind::artifact_created && kind != EventKind::task_priority_changed) {
      run_event(task, kind, event, subject);
    }
  }
}

/// The row shows the task as its transaction has left it, whatever events it has.
void EventWatch::status_is(TaskId id, const json::object& status) {
  TaskTale& task = tasks_[id];
  task.group = id_in(status, "taskGroupId");
  bool open = !wire::is_resolved(wire::parse_task_state(text_in(status, "state")).value());
  if (open == task.open) return;
  task.open = open;
  GroupTale& group = groups_[task.group];
  if (open && group.owed) fail_group(task.group, "it was resolved, and that was not told");
  group.open += open ? 1 : -1;
  group.owed = group.open == 0;
}

void EventWatch::run_event(TaskId id, EventKind kind, const json::object& event, const json::object& status) {
  TaskTale& task = tasks_[id];
  auto run = event.at("runId").to_number<std::size_t>();
  auto wrong = [&](std::string_view what) { fail_task(id, fmt::format("{} of run {} {}", name_of(kind), run, what)); };
  if (!task.defined) wrong("comes before it is told that it was defined");
  if (run > task.runs.size() || (run == task.runs.size() && run > 0 && task.runs.back() != Told::resolved)) {
    return wrong("comes although the end of the run before it was not told");
  }
  if (run == task.runs.size()) task.runs.push_back(Told::nothing);
  Told before = task.runs[run];
  if (kind == EventKind::task_pending) {
    bool from = before == Told::nothing || before == Told::running;  // a claim that was undone
    if (!from) wrong("is told again, or too late");
    task.runs[run] = Told::pending;
  } else if (kind == EventKind::task_running) {
    if (before != Told::pending) wrong("is told although the run was not pending");
    task.runs[run] = Told::running;
  } else {
    if (before == Told::resolved) wrong("comes although an end of it was told already");
    bool was_running = before == Told::running || kind == EventKind::task_exception;
    if (!was_running) wrong("comes although nobody was told that it runs");
    task.runs[run] = Told::resolved;
    const json::array& runs = status.at("runs").as_array();
    bool fits = run < runs.size() && text_in(runs[run].as_object(), "state") == state_after(kind);
    if (!fits) wrong("does not fit to the status beside it");
  }
}

void EventWatch::group_event(TaskGroupId id, EventKind kind) {
  GroupTale& group = groups_[id];
  if (kind == EventKind::task_group_sealed && ++group.sealed > 1) fail_group(id, "it is told twice that it was sealed");
  if (kind != EventKind::task_group_resolved) return;
  if (group.open > 0) {
    fail_group(id, fmt::format("it is told that it is resolved, and {} of its tasks are open", group.open));
  } else if (!group.owed) {
    fail_group(id, "it is told again that it is resolved, and nothing has happened in it");
  }
  group.owed = false;
}

void EventWatch::check_end() {
  for (const auto& [id, facts] : oracle_.tasks()) {
    if (facts.created_us < 0) continue;
    auto task = tasks_.find(id);
    if (task == tasks_.end() || !task->second.defined) {
      fail_task(id, "nobody was told that it was defined");
      continue;
    }
    for (const auto& [run, fact] : facts.resolved_runs) {
      bool told = static_cast<std::size_t>(run) < task->second.runs.size() &&
                  task->second.runs[static_cast<std::size_t>(run)] == Told::resolved;
      if (!told) fail_task(id, fmt::format("nobody was told that run {} is {}", run, name_of(fact.state)));
    }
    if (groups_[task->second.group].owed) fail_group(task->second.group, "it is resolved, and nobody was told");
  }
}

}  // namespace gantry::sim
