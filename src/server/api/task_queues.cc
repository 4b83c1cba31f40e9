// Task queues: what is pending and what is claimed in one, and which there are; and the same by their older names,
// provisioners and worker types.
#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/pages.h"
#include "server/api/task_lookup.h"

namespace gantry::server {
namespace {

using state::TaskQueue;

void append_queue_names(JsonWriter& out, const std::string& task_queue) {
  auto slash = task_queue.find('/');
  out.field("provisionerId", task_queue.substr(0, slash)).field("workerType", task_queue.substr(slash + 1));
  out.field("taskQueueId", task_queue);
}

std::int64_t pending_count(const state::State& state, const std::string& task_queue) {
  return static_cast<std::int64_t>(state.pending(task_queue).size());
}

/// Calls visit(task) for each running task of the queue.
template <class Visit>
void for_each_claimed(const state::State& state, const std::string& task_queue, Visit visit) {
  state.table<state::Allocation>().for_each([&](const state::Allocation& allocation) {
    const state::Task& task = state.table<state::Task>().find(allocation.id.task)->record;
    if (task.task_queue == task_queue) visit(task);
  });
}

Async<net::Response> count_pending(Services& services, Call& call) {
  const std::string& task_queue = call.task_queue_id();
  call.require("queue:pending-count:" + task_queue);
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  append_queue_names(out, task_queue);
  out.field("pendingTasks", pending_count(services.commits.state(), task_queue)).end_object();
  co_await services.commits.settled(services.commits.state().last_commit());
  co_return json_response(std::move(body));
}

Async<net::Response> count_tasks(Services& services, Call& call) {
  const std::string& task_queue = call.task_queue_id();
  call.require_expression(
      access::ScopeExpression::all_of({"queue:pending-count:" + task_queue, "queue:claimed-count:" + task_queue}));
  const state::State& state = services.commits.state();
  std::int64_t claimed = 0;
  for_each_claimed(state, task_queue, [&](const state::Task&) { ++claimed; });
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  append_queue_names(out, task_queue);
  out.field("pendingTasks", pending_count(state, task_queue)).field("claimedTasks", claimed).end_object();
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

/// A page of tasks in the making: copies, because their definitions are read one after the other.
struct TaskPage {
  std::vector<state::Task> tasks;
  std::vector<std::string> positions;  // of each, for a token
  bool more = false;
};

/// "<number>:<sequence>:<taskId>", as a page's position.
struct Place {
  std::int64_t number = 0;
  std::uint64_t sequence = 0;
  TaskId task;
};

std::string place_text(std::int64_t number, const state::Task& task) {
  return fmt::format("{}:{}:{}", number, task.sequence, task.id.to_string());
}

Place read_place(const std::string& text) {
  Place place;
  const char* end = text.data() + text.size();
  auto [colon, bad] = std::from_chars(text.data(), end, place.number);
  if (bad != std::errc() || colon == end || *colon != ':') throw bad_page_token();
  auto [second, worse] = std::from_chars(colon + 1, end, place.sequence);
  if (worse != std::errc() || second == end || *second != ':') throw bad_page_token();
  auto id = TaskId::parse(std::string_view(second + 1, static_cast<std::size_t>(end - second - 1)));
  if (!id) throw bad_page_token();
  place.task = *id;
  return place;
}

/// In the order in which they will be claimed.
TaskPage pending_page(const state::State& state, const std::string& task_queue, const std::string& after,
                      std::size_t limit) {
  TaskPage page;
  const auto& line = state.pending(task_queue);
  auto next = line.begin();
  if (!after.empty()) {
    Place place = read_place(after);
    next = line.after({static_cast<std::uint8_t>(place.number), place.sequence, place.task});
  }
  for (; next != line.end() && page.tasks.size() < limit; ++next) {
    page.tasks.push_back(state.table<state::Task>().find(next->task)->record);
    page.positions.push_back(place_text(next->rank, page.tasks.back()));
  }
  page.more = next != line.end();
  return page;
}

/// In the order in which they were claimed.
TaskPage claimed_page(const state::State& state, const std::string& task_queue, const std::string& after,
                      std::size_t limit) {
  using Position = std::tuple<std::int64_t, std::uint64_t, TaskId>;
  std::vector<std::pair<Position, const state::Task*>> claimed;
  Position from;
  if (!after.empty()) {
    Place place = read_place(after);
    from = {place.number, place.sequence, place.task};
  }
  for_each_claimed(state, task_queue, [&](const state::Task& task) {
    Position position{to_ms(task.runs.back().started), task.sequence, task.id};
    if (after.empty() || position > from) claimed.emplace_back(position, &task);
  });
  std::size_t count = std::min(limit, claimed.size());
  std::partial_sort(claimed.begin(), claimed.begin() + static_cast<std::ptrdiff_t>(count), claimed.end());
  TaskPage page;
  page.more = count < claimed.size();
  for (std::size_t i = 0; i < count; ++i) {
    page.tasks.push_back(*claimed[i].second);
    page.positions.push_back(place_text(std::get<0>(claimed[i].first), *claimed[i].second));
  }
  return page;
}

void append_run(JsonWriter& out, const state::Task& task, bool claimed) {
  const state::Run& run = task.runs.back();
  out.field("taskId", task.id.to_string()).field("runId", static_cast<std::int64_t>(task.runs.size()) - 1);
  if (!claimed) out.field("inserted", run.scheduled);
  if (claimed) out.field("workerGroup", run.worker_group.str()).field("workerId", run.worker_id.str());
  if (claimed) out.field("claimed", run.started);
}

Async<net::Response> list_tasks(Services& services, Call& call, bool claimed) {
  const std::string& task_queue = call.task_queue_id();
  call.require((claimed ? "queue:claimed-list:" : "queue:pending-list:") + task_queue);
  const state::State& state = services.commits.state();
  auto make_page = claimed ? claimed_page : pending_page;
  TaskPage page = make_page(state, task_queue, page_position(call), page_limit(call));
  co_await services.commits.settled(state.last_commit());
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("tasks").begin_array();
  std::size_t done = 0;
  for (const state::Task& task : page.tasks) {
    if (body.size() >= page_bytes_max) break;
    std::string definition = co_await read_definition(services, task);
    append_run(out.begin_object(), task, claimed);
    out.key("task").raw(definition).end_object();
    ++done;
  }
  out.end_array();
  bool more = page.more || done < page.tasks.size();
  if (more) out.field("continuationToken", page_token(page.positions[done - 1]));
  out.end_object();
  co_return json_response(std::move(body));
}

Async<net::Response> list_pending(Services& services, Call& call) { return list_tasks(services, call, false); }
Async<net::Response> list_claimed(Services& services, Call& call) { return list_tasks(services, call, true); }

/// The first generation's list: the statuses of what is pending in any queue of a provisioner.
Async<net::Response> list_pending_statuses(Services& services, Call& call) {
  const std::string& provisioner = call.identifier("provisionerId");
  call.require(fmt::format("queue:pending-list:{}/*", provisioner));
  const state::State& state = services.commits.state();
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("tasks").begin_array();
  std::size_t count = 0;
  for (const auto& [task_queue, line] : state.pending_lines()) {
    if (!task_queue.starts_with(provisioner + "/")) continue;
    for (const auto& entry : line) {
      if (++count > page_limit_max) break;
      append_status(out, state.table<state::Task>().find(entry.task)->record);
    }
  }
  out.end_array().end_object();
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

void append_description(JsonWriter& out, const TaskQueue& queue) {
  out.field("stability", queue.stability).field("description", queue.description).field("expires", queue.expires);
  out.field("lastDateActive", queue.last_active);
}

/// Queues that have not expired, by id, whose id begins so.
std::map<std::string, TaskQueue> live_queues(const state::State& state, const std::string& prefix, Time now) {
  std::map<std::string, TaskQueue> queues;
  state.table<TaskQueue>().for_each([&](const TaskQueue& queue) {
    if (queue.expires > now && queue.id.starts_with(prefix)) queues.emplace(queue.id, queue);
  });
  return queues;
}

std::map<std::string, TaskQueue> live_provisioners(const state::State& state, Time now) {
  std::map<std::string, TaskQueue> provisioners;
  for (const auto& [id, queue] : live_queues(state, "", now)) {
    TaskQueue& provisioner = provisioners[id.substr(0, id.find('/'))];
    provisioner.last_active = std::max(provisioner.last_active, queue.last_active);
    provisioner.expires = std::max(provisioner.expires, queue.expires);
  }
  return provisioners;
}

/// A page of {"<list>":[...]}, each element as `append(out, id, queue)` writes it.
template <class Append>
std::string queue_page(const Call& call, std::string_view list, const std::map<std::string, TaskQueue>& queues,
                       Append append) {
  std::size_t limit = page_limit(call);
  auto next = queues.upper_bound(page_position(call));
  std::string body;
  JsonWriter out(body);
  out.begin_object().key(list).begin_array();
  std::string last;
  for (std::size_t count = 0; next != queues.end() && count < limit; ++next, ++count) {
    append(out.begin_object(), next->first, next->second);
    out.end_object();
    last = next->first;
  }
  out.end_array();
  if (next != queues.end()) out.field("continuationToken", page_token(last));
  out.end_object();
  return body;
}

void append_named(JsonWriter& out, std::string_view name, const std::string& id, const TaskQueue& queue) {
  out.field(name, id);
  append_description(out, queue);
}

void append_provisioner(JsonWriter& out, const std::string& id, const TaskQueue& queue) {
  append_named(out, "provisionerId", id, queue);
}
void append_queue(JsonWriter& out, const std::string& id, const TaskQueue& queue) {
  append_named(out, "taskQueueId", id, queue);
}
void append_worker_type(JsonWriter& out, const std::string& id, const TaskQueue& queue) {
  append_queue_names(out, id);
  append_description(out, queue);
}

using AppendQueue = void (*)(JsonWriter&, const std::string&, const TaskQueue&);

/// The one of `queues` with this id, as an answer.
std::string one_queue(const std::map<std::string, TaskQueue>& queues, const std::string& id, std::string_view what,
                      AppendQueue append) {
  auto found = queues.find(id);
  if (found == queues.end()) {
    throw Error(ErrorCode::not_found, fmt::format("there is no {} {}", what, id),
                "it is known once somebody has created or claimed a task there");
  }
  std::string body;
  JsonWriter out(body);
  append(out.begin_object(), found->first, found->second);
  out.end_object();
  return body;
}

Async<net::Response> settled_response(Services& services, std::string body) {
  co_await services.commits.settled(services.commits.state().last_commit());
  co_return json_response(std::move(body));
}

Async<net::Response> list_queues(Services& services, Call& call) {
  call.require("queue:list-task-queues");
  auto queues = live_queues(services.commits.state(), "", services.env.now());
  return settled_response(services, queue_page(call, "taskQueues", queues, append_queue));
}

Async<net::Response> get_queue(Services& services, Call& call) {
  const std::string& id = call.task_queue_id();
  call.require("queue:get-task-queue:" + id);
  auto queues = live_queues(services.commits.state(), id, services.env.now());
  return settled_response(services, one_queue(queues, id, "task queue", append_queue));
}

Async<net::Response> list_provisioners(Services& services, Call& call) {
  call.require("queue:list-provisioners");
  auto provisioners = live_provisioners(services.commits.state(), services.env.now());
  return settled_response(services, queue_page(call, "provisioners", provisioners, append_provisioner));
}

Async<net::Response> get_provisioner(Services& services, Call& call) {
  const std::string& id = call.identifier("provisionerId");
  call.require("queue:get-provisioner:" + id);
  auto provisioners = live_provisioners(services.commits.state(), services.env.now());
  return settled_response(services, one_queue(provisioners, id, "provisioner", append_provisioner));
}

Async<net::Response> list_worker_types(Services& services, Call& call) {
  const std::string& provisioner = call.identifier("provisionerId");
  call.require("queue:list-worker-types:" + provisioner);
  auto queues = live_queues(services.commits.state(), provisioner + "/", services.env.now());
  return settled_response(services, queue_page(call, "workerTypes", queues, append_worker_type));
}

Async<net::Response> get_worker_type(Services& services, Call& call) {
  std::string id = call.identifier("provisionerId") + "/" + call.identifier("workerType");
  call.require("queue:get-worker-type:" + id);
  auto queues = live_queues(services.commits.state(), id, services.env.now());
  return settled_response(services, one_queue(queues, id, "worker type", append_worker_type));
}

}  // namespace

void add_task_queue_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string base = "/api/queue/v1";
  const std::string queue = base + "/task-queues/*taskQueueId";
  const std::string types = base + "/provisioners/:provisionerId/worker-types";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  router.add({get, base + "/pending/*taskQueueId", "pendingTasks", tc, bind(count_pending), true, {}});
  router.add(
      {get, base + "/pending-tasks/:provisionerId", "getPendingTasks", tc, bind(list_pending_statuses), true, {}});
  router.add({get, queue + "/counts", "taskQueueCounts", tc, bind(count_tasks), true, {}});
  router.add({get, queue + "/pending", "listPendingTasks", tc, bind(list_pending), true, page_keys()});
  router.add({get, queue + "/claimed", "listClaimedTasks", tc, bind(list_claimed), true, page_keys()});
  router.add({get, base + "/task-queues", "listTaskQueues", tc, bind(list_queues), true, page_keys()});
  router.add({get, queue, "getTaskQueue", tc, bind(get_queue), true, {}});
  router.add({get, base + "/provisioners", "listProvisioners", tc, bind(list_provisioners), true, page_keys()});
  router.add({get, base + "/provisioners/:provisionerId", "getProvisioner", tc, bind(get_provisioner), true, {}});
  router.add({get, types, "listWorkerTypes", tc, bind(list_worker_types), true, page_keys()});
  router.add({get, types + "/:workerType", "getWorkerType", tc, bind(get_worker_type), true, {}});
}

}  // namespace gantry::server
