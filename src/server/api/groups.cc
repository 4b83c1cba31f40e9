// Task groups: who is in them, sealing, cancelling and re-prioritising all of one, and pulling.
#include <fmt/format.h>

#include "core/queue/group.h"
#include "core/queue/priority.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/pages.h"
#include "server/api/task_lookup.h"

namespace gantry::server {
namespace {

using queue::GroupView;

/// The members that every answer about a group has, into an open object.
void append_group(JsonWriter& out, const GroupView& group) {
  out.field("taskGroupId", group.id.to_string()).field("schedulerId", group.scheduler).field("expires", group.expires);
  if (group.sealed != Time()) out.field("sealed", group.sealed);
}

std::string group_body(const GroupView& group) {
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  append_group(out, group);
  out.end_object();
  return body;
}

std::string native_group_body(const GroupView& group, std::size_t open) {
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  append_group(out, group);
  out.field("pulls", group.pulls).field("tasks", group.tasks);
  out.field("unresolved", static_cast<std::int64_t>(open)).end_object();
  return body;
}

std::string scope_of(std::string_view verb, const GroupView& group) {
  return fmt::format("queue:{}:{}/{}", verb, group.scheduler, group.id.to_string());
}

/// Loads the group, checks the scope of `verb`, and lets `act(tx, group)` answer as a Result<std::string>.
template <class Act>
Async<net::Response> change_group(Services& services, Call& call, std::string_view verb, Act act) {
  TaskGroupId id = call.task_group_id();
  co_await services.cold.ensure_group(id);
  auto tx = services.commits.begin();
  auto view = queue::view_group(tx, id);
  Result<std::string> answer = std::string();
  if (!view) {
    answer = view.error();
  } else if (auto allowed = call.identity.require(scope_of(verb, view.value())); !allowed) {
    answer = allowed.error();
  } else {
    answer = act(tx, id);
  }
  std::uint64_t version = services.commits.stage(tx, answer.has_value());
  if (answer) services.cold.known_groups().add(id);
  co_await services.commits.settled(version);
  co_return json_response(value_or_throw(std::move(answer)));
}

/// The group as it is now, once that is durable, and how many of its tasks are not resolved.
Async<std::pair<GroupView, std::size_t>> durable_group(Services& services, TaskGroupId id) {
  co_await services.cold.ensure_group(id);
  auto tx = services.commits.begin();
  auto view = queue::view_group(tx, id);
  std::size_t open = view ? queue::open_tasks(tx.state(), id).size() : 0;
  co_await services.commits.settled(services.commits.stage(tx));
  co_return std::pair(value_or_throw(std::move(view)), open);
}

Async<net::Response> get_group(Services& services, Call& call) {
  TaskGroupId id = call.task_group_id();
  call.require("queue:list-task-group:" + id.to_string());
  auto [group, open] = co_await durable_group(services, id);
  co_return json_response(group_body(group));
}

Async<net::Response> native_group(Services& services, Call& call) {
  TaskGroupId id = call.task_group_id();
  call.require("queue:list-task-group:" + id.to_string());
  auto [group, open] = co_await durable_group(services, id);
  co_return json_response(native_group_body(group, open));
}

/// A page of a group's members in order of creation: their ids, and the position of each for a token.
struct Members {
  std::vector<TaskId> ids;
  std::vector<std::string> positions;
  bool more = false;
};

Async<Members> read_members(Services& services, const GroupView& group, std::string after, std::size_t limit) {
  Members members;
  if (group.members == 0) {
    if (after.empty()) members.ids.push_back(group.id);
    members.positions.emplace_back("0");
    co_return members;
  }
  auto rows = co_await services.cold.scan(state::TableId::group_member, state::Key{group.members, after}, limit + 1);
  for (const auto& row : rows) {
    if (row.key.sequence != group.members) break;
    members.more = members.ids.size() == limit;
    if (members.more) break;
    members.ids.push_back(TaskId::parse(row.value).value_or(TaskId()));
    members.positions.push_back(row.key.name);
  }
  co_return members;
}

Async<net::Response> list_group(Services& services, Call& call) {
  TaskGroupId id = call.task_group_id();
  call.require("queue:list-task-group:" + id.to_string());
  std::size_t limit = page_limit(call);
  std::string after = page_position(call);
  auto [group, open] = co_await durable_group(services, id);
  Members members = co_await read_members(services, group, after, limit);
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  append_group(out, group);
  out.key("tasks").begin_array();
  std::size_t done = co_await append_tasks(services, members.ids, body, out);
  out.end_array();
  bool more = members.more || done < members.ids.size();
  if (more) out.field("continuationToken", page_token(members.positions[done - 1]));
  out.end_object();
  co_return json_response(std::move(body));
}

Async<net::Response> seal_group(Services& services, Call& call) {
  co_await call.body(body_bytes_max);
  co_return co_await change_group(services, call, "seal-task-group",
                                  [](state::Transaction& tx, TaskGroupId id) -> Result<std::string> {
                                    TRY(GroupView group, queue::seal_group(tx, id));
                                    return group_body(group);
                                  });
}

void append_ids(JsonWriter& out, const std::vector<TaskId>& ids) {
  out.key("taskIds").begin_array();
  for (TaskId id : ids) out.string(id.to_string());
  out.end_array();
}

Result<std::string> cancel_all(state::Transaction& tx, TaskGroupId id) {
  TRY(auto cancel, queue::cancel_group(tx, id));
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("taskGroupId", id.to_string()).field("taskGroupSize", cancel.group.tasks);
  out.field("cancelledCount", static_cast<std::int64_t>(cancel.tasks.size()));
  append_ids(out, cancel.tasks);
  out.end_object();
  return body;
}

Async<net::Response> cancel_group(Services& services, Call& call) {
  co_await call.body(body_bytes_max);
  co_return co_await change_group(services, call, "cancel-task-group", cancel_all);
}

Result<std::string> prioritize_all(state::Transaction& tx, TaskGroupId id, wire::Priority priority) {
  std::vector<TaskId> tasks = queue::open_tasks(tx.state(), id);
  TRY(auto changed, queue::change_group_priority(tx, id, priority));
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("taskGroupId", id.to_string()).field("schedulerId", changed.group.scheduler);
  out.field("newPriority", name_of(priority)).field("tasksAffected", changed.tasks);
  append_ids(out, tasks);
  out.end_object();
  return body;
}

Async<net::Response> change_priority(Services& services, Call& call) {
  wire::Priority priority = read_new_priority(co_await json_body(call));
  co_return co_await change_group(
      services, call, "change-task-group-priority",
      [priority](state::Transaction& tx, TaskGroupId id) { return prioritize_all(tx, id, priority); });
}

/// PUT {"pulls": true}: unscheduled tasks give what they wait for their own priority.
Async<net::Response> set_pulls(Services& services, Call& call) {
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  if (!reader.require("pulls")) value_or_throw(reader.finish());
  bool pulls = reader.boolean("pulls", false);
  value_or_throw(reader.finish());
  co_return co_await change_group(services, call, "change-task-group-priority",
                                  [pulls](state::Transaction& tx, TaskGroupId id) -> Result<std::string> {
                                    TRY(GroupView group, queue::set_group_pulls(tx, id, pulls));
                                    return native_group_body(group, queue::open_tasks(tx.state(), id).size());
                                  });
}

}  // namespace

void add_group_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string group = "/api/queue/v1/task-group/:taskGroupId";
  const std::string native = "/v1/groups/:taskGroupId";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  router.add({get, group, "getTaskGroup", tc, bind(get_group), true, {}});
  router.add({get, group + "/list", "listTaskGroup", tc, bind(list_group), true, page_keys()});
  router.add({post, group + "/seal", "sealTaskGroup", tc, bind(seal_group), true, {}});
  router.add({post, group + "/cancel", "cancelTaskGroup", tc, bind(cancel_group), true, {}});
  router.add({post, group + "/priority", "changeTaskGroupPriority", tc, bind(change_priority), true, {}});
  router.add({get, native, "getGroup", Dialect::native, bind(native_group), true, {}});
  router.add({put, native + "/pulls", "setGroupPulls", Dialect::native, bind(set_pulls), true, {}});
}

}  // namespace gantry::server
