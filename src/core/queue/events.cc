#include "core/queue/events.h"

#include <algorithm>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/planted.h"
#include "core/queue/status.h"
#include "core/state/stored.h"

namespace gantry::queue {
namespace {

using state::Change;
using state::Task;
using wire::EventKind;

/// A row in the making.
struct Draft {
  TaskId subject;      // a task, or a group
  bool group = false;  // about a group alone
  std::uint64_t count = 0;
  std::string events;  // without the brackets
};

/// One event as it goes into a row; further fields follow before end().
class EventWriter {
 public:
  EventWriter(Draft& draft, EventKind kind) : json_(start(draft)) {
    ++draft.count;
    json_.begin_object().field("kind", name_of(kind));
  }
  JsonWriter& json() { return json_; }
  void end() { json_.end_object(); }

 private:
  static std::string& start(Draft& draft) {
    if (draft.count > 0) draft.events += ',';
    return draft.events;
  }
  JsonWriter json_;
};

EventKind outcome_kind(state::TaskState outcome) {
  if (outcome == state::TaskState::completed) return EventKind::task_completed;
  if (outcome == state::TaskState::failed) return EventKind::task_failed;
  return EventKind::task_exception;
}

class RowBuilder {
 public:
  explicit RowBuilder(state::Transaction& tx) : tx_(tx) {}

  void add(const Change& change) {
    switch (change.kind) {
      case Change::Kind::task_defined: return add_plain(change, EventKind::task_defined);
      case Change::Kind::task_pending: return add_run(change, EventKind::task_pending);
      case Change::Kind::task_running: return add_run(change, EventKind::task_running);
      case Change::Kind::task_resolved: return add_outcome(change);
      case Change::Kind::artifact_created: return add_artifact(change);
      case Change::Kind::priority_changed: return add_priority(change);
      case Change::Kind::group_resolved: return add_group(change, EventKind::task_group_resolved);
      case Change::Kind::group_sealed: return add_group(change, EventKind::task_group_sealed);
      case Change::Kind::group_priority_changed: return add_group(change, EventKind::task_group_priority_changed);
      case Change::Kind::allocation_lost: return;
    }
  }

  void finish(std::vector<EventRow>& rows) {
    for (const Draft& draft : drafts_) {
      EventRow row;
      row.first = tx_.next_events(draft.count);
      row.count = draft.count;
      row.value = std::make_shared<const std::string>(text_of(draft));
      tx_.put_row(state::TableId::outbox, {row.first, {}}, row.value);
      rows.push_back(std::move(row));
      if (planted(PlantedBug::events_of_one_task)) return;
    }
  }

 private:
  /// The row for a task's next event, or nullptr if the task is gone.
  Draft* draft_of(TaskId task) {
    if (!tx_.find<Task>(task)) return nullptr;
    for (auto draft = drafts_.rbegin(); draft != drafts_.rend(); ++draft) {
      if (draft->subject == task && !draft->group && draft->count < events_per_row_max) return &*draft;
    }
    return &drafts_.emplace_back(Draft{task, false, 0, {}});
  }

  void add_plain(const Change& change, EventKind kind) {
    if (Draft* draft = draft_of(change.task)) EventWriter(*draft, kind).end();
  }

  void add_run(const Change& change, EventKind kind) {
    Draft* draft = draft_of(change.task);
    if (!draft) return;
    EventWriter event(*draft, kind);
    event.json().field("runId", change.run);
    event.end();
  }

  void add_outcome(const Change& change) {
    const Task* task = tx_.find<Task>(change.task);
    auto run = static_cast<std::size_t>(change.run);
    if (task && run < task->runs.size()) add_run(change, outcome_kind(task->runs[run].state));
  }

  void add_artifact(const Change& change) {
    const auto* artifact = tx_.find<state::Artifact>({change.task, change.run, change.name});
    if (!artifact || artifact->type == state::StorageType::s3 || !artifact->present) return;
    Draft* draft = draft_of(change.task);
    if (!draft) return;
    EventWriter event(*draft, EventKind::artifact_created);
    JsonWriter& out = event.json().field("runId", change.run).key("artifact").begin_object();
    out.field("storageType", name_of(artifact->type)).field("name", artifact->id.name);
    out.field("expires", artifact->expires).field("contentType", artifact->content_type).end_object();
    event.end();
  }

  void add_priority(const Change& change) {
    Draft* draft = draft_of(change.task);
    if (!draft) return;
    EventWriter event(*draft, EventKind::task_priority_changed);
    event.json().field("oldPriority", name_of(change.priority_before)).field("newPriority", name_of(change.priority));
    event.end();
  }

  /// A member of the group that this transaction has changed; the last one, so that the group's event follows theirs.
  Draft* last_member(TaskGroupId group) {
    for (auto draft = drafts_.rbegin(); draft != drafts_.rend(); ++draft) {
      if (draft->group || draft->count >= events_per_row_max) continue;
      const Task* task = tx_.find<Task>(draft->subject);
      if (task && task->group == group) return &*draft;
    }
    return nullptr;
  }

  void add_group(const Change& change, EventKind kind) {
    const state::Group* group = tx_.find<state::Group>(change.task);
    Draft* draft = last_member(change.task);
    const Task* member = tx_.find<Task>(draft ? draft->subject : change.task);
    if (!group && !member) return;  // nothing is known of it any more
    if (!draft) draft = &drafts_.emplace_back(Draft{change.task, true, 0, {}});
    EventWriter event(*draft, kind);
    if (kind == EventKind::task_group_priority_changed) {
      event.json().field("newPriority", name_of(change.priority)).field("tasksAffected", change.tasks_affected);
    } else {
      event.json().field("expires", group ? group->expires : member->expires);
      if (group && group->sealed != Time()) event.json().field("sealed", group->sealed);
    }
    event.end();
  }

  std::string text_of(const Draft& draft) {
    std::string text;
    text.reserve(1024);
    JsonWriter out(text);
    out.begin_object().field("v", state::record_version).field("at", to_ms(tx_.now()));
    out.key("events").raw(fmt::format("[{}]", draft.events));
    const Task* task = tx_.find<Task>(draft.subject);
    if (draft.group) {
      const state::Group* group = tx_.find<state::Group>(draft.subject);
      out.key("group").begin_object();
      state::add_slug(out, "taskGroupId", draft.subject);
      out.field("schedulerId", group ? group->scheduler : task->scheduler.str()).end_object();
    } else {
      if (task->labels) {
        state::add_texts(out, "routes", task->labels->routes);
        if (!task->labels->tags.empty()) out.key("tags").raw(task->labels->tags);
      }
      out.key("status");
      append_status(out, *task);
    }
    out.end_object();
    return text;
  }

  state::Transaction& tx_;
  std::vector<Draft> drafts_;
};

/// A row as it was stored, while its messages are made.
class RowReader {
 public:
  RowReader(std::uint64_t first, std::string_view row) : stored_("event", row), number_(first) {
    at_ = stored_.time("at");
    routes_ = stored_.texts("routes");
    for (std::string& route : routes_) route.insert(0, "route.");
    if (const json::value* tags = stored_.find("tags")) tags_ = json::serialize(*tags);
    if (const json::value* status = stored_.find("status")) {
      subject_ = status->if_object();
      status_ = json::serialize(*status);
    } else if (const json::value* group = stored_.find("group")) {
      subject_ = group->if_object();
    }
    if (!subject_) stored_.damage("status");
  }

  Result<std::vector<wire::PulseMessage>> messages() {
    std::vector<wire::PulseMessage> messages;
    const json::value* events = stored_.find("events");
    const json::array* list = events ? events->if_array() : nullptr;
    if (!list) stored_.damage("events");
    for (std::size_t i = 0; list && subject_ && i < list->size(); ++i) {
      const json::object* event = (*list)[i].if_object();
      auto kind = event ? wire::parse_event_kind(text(*event, "kind")) : std::nullopt;
      bool has_subject = kind && (!wire::is_about_task(*kind) || !status_.empty());
      if (!has_subject) {
        stored_.damage("events");
        break;
      }
      messages.push_back(message(*event, *kind));
    }
    return stored_.finish(std::move(messages));
  }

 private:
  static std::string_view text(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    const json::string* found = value ? value->if_string() : nullptr;
    return found ? std::string_view(*found) : std::string_view();
  }
  static void copy_field(JsonWriter& out, const json::object& from, std::string_view key) {
    if (const json::value* value = from.if_contains(key)) out.key(key).raw(json::serialize(*value));
  }
  static TaskId id_in(const json::object& object, std::string_view key) {
    return TaskId::parse(text(object, key)).value_or(TaskId());
  }

  wire::PulseMessage message(const json::object& event, EventKind kind) {
    wire::PulseMessage message;
    message.number = number_++;
    message.kind = kind;
    message.at = at_;
    message.group = id_in(*subject_, "taskGroupId");
    if (wire::is_about_task(kind)) {
      message.task = id_in(*subject_, "taskId");
      message.task_queue = text(*subject_, "taskQueueId");
      message.routes = routes_;
      write_task_message(message, event);
    } else {
      write_group_message(message, event);
    }
    return message;
  }

  const json::object* run_of(const json::object& event) const {
    const json::value* run_id = event.if_contains("runId");
    const json::value* runs = subject_->if_contains("runs");
    if (!run_id || !run_id->is_int64() || !runs || !runs->is_array()) return nullptr;
    auto index = static_cast<std::size_t>(run_id->get_int64());
    return index < runs->get_array().size() ? runs->get_array()[index].if_object() : nullptr;
  }

  /// A task is defined before it is scheduled, although both may have been one decision.
  std::string status_when_defined() const {
    json::object status = *subject_;
    status["state"] = name_of(state::TaskState::unscheduled);
    status["runs"] = json::array();
    return json::serialize(status);
  }

  void write_task_message(wire::PulseMessage& message, const json::object& event) {
    static const json::object none;
    const json::object* run = run_of(event);
    bool with_worker = message.kind != EventKind::task_pending && run;
    const json::object& worker = with_worker ? *run : none;
    JsonWriter out(message.body);
    out.begin_object().field("version", 1);
    out.key("status").raw(message.kind == EventKind::task_defined ? status_when_defined() : status_);
    copy_field(out, event, "runId");
    copy_field(out, worker, "workerGroup");
    copy_field(out, worker, "workerId");
    if (message.kind == EventKind::task_running) copy_field(out, worker, "takenUntil");
    copy_field(out, event, "artifact");
    copy_field(out, event, "oldPriority");
    copy_field(out, event, "newPriority");
    bool with_tags = message.kind != EventKind::artifact_created && message.kind != EventKind::task_priority_changed;
    if (with_tags) out.key("task").begin_object().key("tags").raw(tags_).end_object();
    out.end_object();
    const json::value* run_id = event.if_contains("runId");
    auto part = [](std::string_view value) { return value.empty() ? std::string_view("_") : value; };
    message.routing_key = fmt::format(
        "primary.{}.{}.{}.{}.{}.{}.{}.{}._", text(*subject_, "taskId"), run_id ? json::serialize(*run_id) : "_",
        part(text(worker, "workerGroup")), part(text(worker, "workerId")), text(*subject_, "provisionerId"),
        text(*subject_, "workerType"), text(*subject_, "schedulerId"), text(*subject_, "taskGroupId"));
    if (message.routing_key.size() > wire::routing_key_bytes_max)
      message.routing_key.resize(wire::routing_key_bytes_max);
  }

  void write_group_message(wire::PulseMessage& message, const json::object& event) {
    std::string_view group = text(*subject_, "taskGroupId");
    std::string_view scheduler = text(*subject_, "schedulerId");
    JsonWriter out(message.body);
    out.begin_object().field("version", 1).field("taskGroupId", group).field("schedulerId", scheduler);
    for (std::string_view key : {"expires", "sealed", "newPriority", "tasksAffected"}) copy_field(out, event, key);
    out.end_object();
    message.routing_key = fmt::format("primary.{}.{}._", group, scheduler);
  }

  state::Stored stored_;
  std::uint64_t number_;
  Time at_;
  std::vector<std::string> routes_;
  std::string tags_ = "{}";
  std::string status_;                     // as JSON; empty if the row is about a group alone
  const json::object* subject_ = nullptr;  // the status, or the group
};

}  // namespace

void add_event_rows(state::Transaction& tx, std::vector<EventRow>& rows) {
  RowBuilder builder(tx);
  for (const Change& change : tx.changes()) builder.add(change);
  builder.finish(rows);
}

Result<std::vector<wire::PulseMessage>> messages_of(std::uint64_t first, std::string_view row) {
  return RowReader(first, row).messages();
}

}  // namespace gantry::queue
