// The agent channel (design 3.10): heartbeat, cancels, and the node's place in the ledger.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "core/grid/node.h"
#include "core/queue/resolve.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/shells.h"
#include "wire/node_messages.h"

namespace gantry::server {
namespace {

/// Answered at least this often, so that a node that vanished without closing its connection is missed in time.
constexpr Duration node_poll_max = seconds(10);
/// A node in trouble says soon when it is over.
constexpr Duration troubled_poll_max = seconds(1);

state::Node described(NodeId id, const wire::NodePoll& poll) {
  state::Node node;
  node.id = id;
  node.name = poll.name;
  node.task_queue = poll.task_queue;
  node.worker_group = poll.worker_group;
  node.worker_id = poll.worker_id;
  node.slots = poll.slots;
  node.memory_bytes = poll.memory_bytes;
  node.cpus = poll.cpus;
  node.version = poll.version;
  return node;
}

/// A node that has not reached its engine yet does not know what it has: what it told before holds.
void keep_capacity(state::Node& node, const state::State& state) {
  const auto* known = state.table<state::Node>().find(node.id);
  if (!known || node.memory_bytes > 0) return;
  node.memory_bytes = known->record.memory_bytes;
  node.cpus = known->record.cpus;
  if (node.slots == 0) node.slots = known->record.slots;
}

/// What the agent holds and the ledger does not give it.
std::vector<wire::RunRef> not_its_own(const state::State& state, NodeId node, const std::vector<wire::RunRef>& holds) {
  std::vector<wire::RunRef> cancel;
  const auto& allocated = state.allocations_on(node);
  for (const wire::RunRef& run : holds) {
    if (!allocated.contains({run.task, run.run})) cancel.push_back(run);
  }
  return cancel;
}

/// Gives out again what the ledger has for a node that has just started and does not hold it.
Async<> release_unheld(Services& services, NodeId node, std::vector<wire::RunRef> holds) {
  std::set<state::AllocationId> held;
  for (const wire::RunRef& run : holds) held.insert({run.task, run.run});
  bool more = true;
  while (more) {
    auto tx = services.commits.begin();
    more = queue::expire_unheld(tx, node, held);
    co_await services.commits.settled(services.commits.stage(tx));
  }
}

/// While a poll waits for the disk, that is not its node's silence.
class SlowDisk {
 public:
  SlowDisk(Env& env, NodeLink& link) : env_(env), link_(link), since_(env.uptime()) { ++link_.waiting_for_disk; }
  SlowDisk(const SlowDisk&) = delete;
  SlowDisk& operator=(const SlowDisk&) = delete;
  ~SlowDisk() {
    --link_.waiting_for_disk;
    link_.last_poll += env_.uptime() - since_;
  }

 private:
  Env& env_;
  NodeLink& link_;
  Duration since_;
};

Async<net::Response> poll_node(Services& services, Call& call) {
  auto id = NodeId::parse(call.parameter("nodeId"));
  if (!id) throw Error(ErrorCode::invalid_input, "the node's id is not a slugid");
  std::string body = co_await json_body(call);
  wire::NodePoll poll = value_or_throw(wire::parse_node_poll(body));
  call.require(fmt::format("queue:worker-id:{}/{}", poll.worker_group, poll.worker_id));
  call.require("queue:claim-work:" + poll.task_queue);
  auto tx = services.commits.begin();
  NodeId other = tx.state().node_of_worker(poll.worker_group, poll.worker_id);
  state::Node node = described(*id, poll);
  keep_capacity(node, tx.state());
  auto registered = grid::register_node(tx, std::move(node), services.is_silent(other));
  std::uint64_t version = services.commits.stage(tx, registered.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(registered));
  NodeLink& link = services.nodes[*id];
  link.last_poll = services.env.uptime();
  link.trouble = poll.trouble;
  link.clock_ahead_ms = poll.clock_ahead_ms;
  link.caches = std::move(poll.caches);
  if (poll.restarted) co_await release_unheld(services, *id, poll.holds);
  Duration wait = poll.trouble.empty() ? node_poll_max : troubled_poll_max;
  Duration until = services.env.uptime() + std::min(wait, services.long_poll);
  wire::NodeNews news;
  bool woken = false;
  for (;;) {
    news.generation = services.commits.state().last_commit();
    news.cancel = not_its_own(services.commits.state(), *id, poll.holds);
    Duration left = until - services.env.uptime();
    if (services.shells->has_news(*id)) break;
    if (!news.cancel.empty() || left <= Duration(0) || !services.may_wait() || poll.restarted) break;
    // Woken for a run that was claimed after this poll was sent: the next poll will hold it.
    if (woken) break;
    Wake wake = co_await link.news.wait(services.env, left, call.request.peer_watch);
    if (wake == Wake::gone) break;
    woken = wake == Wake::woken;
  }
  {
    SlowDisk slow_disk(services.env, link);
    co_await services.commits.settled(news.generation);
  }
  news.shells = services.shells->take_news(*id);
  net::Response answer = json_response(wire::to_json(news));
  if (!news.shells.empty()) {
    answer.undelivered = [shells = services.shells, told = news.shells] { shells->put_back(told); };
  }
  co_return answer;
}

Async<net::Response> list_nodes(Services& services, Call& call) {
  call.require("gantry:list-nodes");
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("nodes").begin_array();
  const state::State& state = services.commits.state();
  state.table<state::Node>().for_each([&](const state::Node& node) {
    auto link = services.nodes.find(node.id);
    bool seen = link != services.nodes.end();
    out.begin_object().field("id", node.id.to_string()).field("name", node.name);
    out.field("taskQueueId", node.task_queue).field("slots", node.slots).field("memoryBytes", node.memory_bytes);
    out.field("cpus", node.cpus).field("version", node.version);
    out.field("running", static_cast<std::int64_t>(state.allocations_on(node.id).size()));
    if (seen) out.field("lastPollMsAgo", (services.env.uptime() - link->second.last_poll).count());
    if (seen && !link->second.trouble.empty()) out.field("trouble", link->second.trouble);
    if (seen && link->second.clock_ahead_ms != 0) out.field("clockAheadMs", link->second.clock_ahead_ms);
    out.end_object();
  });
  out.end_array().end_object();
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

/// As the nodes told in their last polls; what those told before the server started is not known.
Async<net::Response> list_caches(Services& services, Call& call) {
  call.require("gantry:list-caches");
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("caches").begin_array();
  const state::State& state = services.commits.state();
  state.table<state::Node>().for_each([&](const state::Node& node) {
    auto link = services.nodes.find(node.id);
    if (link == services.nodes.end()) return;
    for (const wire::CacheSummary& cache : link->second.caches) {
      out.begin_object().field("name", cache.name).field("taskQueueId", cache.task_queue);
      out.field("node", node.name).field("nodeId", node.id.to_string()).field("instances", cache.instances);
      out.field("inUse", cache.in_use).field("lastUsed", cache.last_used).end_object();
    }
  });
  out.end_array().end_object();
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

/// Only one that does not poll: whoever removes one that works has most likely mistaken its name. Its credentials count
/// no more from then on.
Async<net::Response> remove_node(Services& services, Call& call) {
  call.require("gantry:remove-node");
  auto id = NodeId::parse(call.parameter("nodeId"));
  if (!id) throw Error(ErrorCode::invalid_input, "the node's id is not a slugid");
  bool known = services.commits.state().table<state::Node>().find(*id) != nullptr;
  if (known && !services.is_silent(*id)) {
    throw Error(ErrorCode::conflict, fmt::format("node {} is at work", id->to_string()),
                "stop its agent, and try again 15 seconds later");
  }
  co_await release_unheld(services, *id, {});
  auto tx = services.commits.begin();
  auto removed = grid::remove_node(tx, *id);
  co_await services.commits.settled(services.commits.stage(tx, removed.has_value()));
  value_or_throw(std::move(removed));
  co_return json_response("{}");
}

}  // namespace

void add_node_routes(Router& router, Services& services) {
  Bind bind{services};
  using enum net::Method;
  router.add({post, "/v1/nodes/:nodeId/poll", "pollNode", Dialect::native, bind(poll_node), true, {}});
  router.add({delete_, "/v1/nodes/:nodeId", "removeNode", Dialect::native, bind(remove_node), true, {}});
  router.add({get, "/v1/nodes", "listNodes", Dialect::native, bind(list_nodes), true, {}});
  router.add({get, "/v1/caches", "listCaches", Dialect::native, bind(list_caches), true, {}});
}

}  // namespace gantry::server
