// Workers as people look at them; quarantine.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/text.h"
#include "core/queue/worker.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/pages.h"

namespace gantry::server {
namespace {

using queue::WorkerName;
using state::Worker;

constexpr std::size_t quarantine_info_bytes_max = 4000;

std::string queue_parameter(const Call& call) {
  return call.identifier("provisionerId") + "/" + call.identifier("workerType");
}

WorkerName worker_parameter(const Call& call) {
  return {queue_parameter(call), call.identifier("workerGroup"), call.identifier("workerId")};
}

std::string full_name(const WorkerName& worker) {
  return fmt::format("{}/{}/{}", worker.task_queue, worker.group, worker.id);
}

void append_recent(JsonWriter& out, const Worker::RecentTask& recent) {
  out.begin_object().field("taskId", recent.task.to_string()).field("runId", recent.run).end_object();
}

std::string worker_body(const Worker& worker) {
  std::string body;
  JsonWriter out(body);
  auto slash = worker.task_queue.find('/');
  out.begin_object().field("provisionerId", worker.task_queue.substr(0, slash));
  out.field("workerType", worker.task_queue.substr(slash + 1)).field("taskQueueId", worker.task_queue);
  out.field("workerGroup", worker.group).field("workerId", worker.worker_id).key("recentTasks").begin_array();
  for (const auto& recent : worker.recent) append_recent(out, recent);
  out.end_array().field("firstClaim", worker.first_claim).field("lastDateActive", worker.last_active);
  out.field("expires", worker.expires);
  if (worker.quarantine_until != Time()) out.field("quarantineUntil", worker.quarantine_until);
  out.key("quarantineDetails").begin_array();
  for (const auto& change : worker.quarantine_changes) {
    out.begin_object().field("clientId", change.client_id).field("updatedAt", change.at);
    out.field("quarantineUntil", change.until).field("quarantineInfo", change.info).end_object();
  }
  out.end_array().end_object();
  return body;
}

/// Makes one decision about a worker and answers with how it is then.
template <class Decide>
Async<net::Response> decide(Services& services, Decide decision) {
  auto tx = services.commits.begin();
  Result<Worker> worker = decision(tx);
  std::uint64_t version = services.commits.stage(tx, worker.has_value());
  co_await services.commits.settled(version);
  co_return json_response(worker_body(value_or_throw(std::move(worker))));
}

Async<net::Response> get_worker(Services& services, Call& call) {
  WorkerName name = worker_parameter(call);
  call.require("queue:get-worker:" + full_name(name));
  return decide(services, [name](state::Transaction& tx) { return queue::find_worker(tx, name); });
}

Async<net::Response> quarantine_worker(Services& services, Call& call) {
  WorkerName name = worker_parameter(call);
  call.require("queue:quarantine-worker:" + full_name(name));
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  reader.require("quarantineUntil");
  Time until = reader.time("quarantineUntil").value_or(Time());
  std::string info(reader.text("quarantineInfo", {0, quarantine_info_bytes_max}, "[unspecified]"));
  value_or_throw(reader.finish());
  std::string client = call.identity.client_id;
  auto decision = [&](state::Transaction& tx) { return queue::quarantine(tx, name, until, info, client); };
  co_return co_await decide(services, decision);
}

Async<net::Response> declare_worker(Services& services, Call& call) {
  WorkerName name = worker_parameter(call);
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  reader.require("expires");
  Time expires = reader.time("expires").value_or(Time());
  value_or_throw(reader.finish());
  call.require(fmt::format("queue:declare-worker:{}#expires", full_name(name)));
  auto decision = [&](state::Transaction& tx) { return queue::declare_worker(tx, name, expires); };
  co_return co_await decide(services, decision);
}

/// Which workers a list shows.
struct Choice {
  std::string task_queue;
  std::optional<bool> quarantined;
};

Choice read_choice(const Call& call) {
  Choice choice{queue_parameter(call), std::nullopt};
  std::string_view text = call.query_value("quarantined");
  if (text == "true") choice.quarantined = true;
  if (text == "false") choice.quarantined = false;
  if (!text.empty() && !choice.quarantined) {
    throw Error(ErrorCode::invalid_input, fmt::format("quarantined: \"{}\" must be true or false", shorten(text, 40)))
        .with_fault(InputFault::arguments);
  }
  return choice;
}

void append_entry(JsonWriter& out, const Worker& worker, Time now) {
  out.begin_object().field("workerGroup", worker.group).field("workerId", worker.worker_id);
  out.field("firstClaim", worker.first_claim).field("lastDateActive", worker.last_active);
  if (!worker.recent.empty()) append_recent(out.key("latestTask"), worker.recent.back());
  if (worker.quarantine_until > now) out.field("quarantineUntil", worker.quarantine_until);
  out.end_object();
}

Async<net::Response> list_workers(Services& services, Call& call) {
  Choice choice = read_choice(call);
  call.require("queue:list-workers:" + choice.task_queue);
  std::size_t limit = page_limit(call);
  const state::State& state = services.commits.state();
  Time now = services.env.now();
  std::map<std::string, const Worker*> workers;
  state.table<Worker>().for_each([&](const Worker& worker) {
    bool quarantined = worker.quarantine_until > now;
    bool live = worker.expires > now || quarantined;
    bool chosen = worker.task_queue == choice.task_queue && choice.quarantined.value_or(quarantined) == quarantined;
    if (live && chosen) workers.emplace(worker.key(), &worker);
  });
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("workers").begin_array();
  auto next = workers.upper_bound(page_position(call));
  std::string last;
  for (std::size_t count = 0; next != workers.end() && count < limit; ++next, ++count) {
    append_entry(out, queue::current(state, *next->second), now);
    last = next->first;
  }
  out.end_array();
  if (next != workers.end()) out.field("continuationToken", page_token(last));
  out.end_object();
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

}  // namespace

void add_worker_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string type = "/api/queue/v1/provisioners/:provisionerId/worker-types/:workerType";
  const std::string worker = type + "/workers/:workerGroup/:workerId";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  std::vector<std::string> keys = page_keys();
  keys.emplace_back("quarantined");
  router.add({get, type + "/workers", "listWorkers", tc, bind(list_workers), true, keys});
  router.add({get, worker, "getWorker", tc, bind(get_worker), true, {}});
  router.add({put, worker, "quarantineWorker", tc, bind(quarantine_worker), true, {}});
  router.add({put, type + "/:workerGroup/:workerId", "declareWorker", tc, bind(declare_worker), true, {}});
}

}  // namespace gantry::server
