// Machines become nodes: join tokens, the credentials that a token is exchanged for, and their renewal. What a node
// gets lets it claim from its pool under its own name and learn which caches are to be purged, and nothing else.
#include "core/grid/join.h"

#include <fmt/format.h>

#include "base/log.h"
#include "core/grid/limits.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/auth/join_token.h"
#include "wire/join_messages.h"
#include "wire/task_definition.h"

namespace gantry::server {
namespace {

constexpr Duration token_life_min = minutes(1);
constexpr Duration token_life_max = days(7);
/// Who guesses tokens waits this long for each answer.
constexpr Duration wrong_token_pause = milliseconds(500);
constexpr std::size_t join_body_bytes_max = 8 * 1024;

constexpr ObjectReader::TextRule pool_rule{3, 77, wire::is_task_queue_id, "\"<provisionerId>/<workerType>\""};

wire::Enrolment enrol(Services& services, std::string task_queue, std::string worker_group, std::string worker_id) {
  wire::Enrolment enrolment;
  std::string client = grid::node_client_id(task_queue, worker_id);
  enrolment.issued = grid::may_issue_at(services.commits.state(), client, services.env.now());
  enrolment.expires = enrolment.issued + grid::node_credentials_life;
  std::vector<std::string> scopes{"queue:claim-work:" + task_queue, "queue:claim-task:" + task_queue,
                                  fmt::format("queue:worker-id:{}/{}", worker_group, worker_id),
                                  "purge-cache:purge-requests::" + task_queue};
  auto issued =
      services.authenticator.issue_temporary(client, scopes, enrolment.issued - grid::node_credentials_backdate,
                                             enrolment.expires, auth::random_certificate_seed(services.env));
  enrolment.credentials = {issued.client_id, issued.access_token, issued.certificate};
  enrolment.task_queue = std::move(task_queue);
  enrolment.worker_group = std::move(worker_group);
  enrolment.worker_id = std::move(worker_id);
  return enrolment;
}

Async<net::Response> create_join_token(Services& services, Call& call, HmacSha256Key key) {
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  auth::JoinGrant grant;
  grant.id = wire::hawk_nonce(services.env);
  grant.task_queue = reader.required_text("pool", pool_rule);
  grant.uses_max = static_cast<int>(reader.integer("uses", 1, grid::join_uses_max, 0));
  auto life = seconds(reader.required_integer("ttlSeconds", token_life_min / seconds(1), token_life_max / seconds(1)));
  value_or_throw(reader.finish());
  call.require("gantry:create-join-token:" + grant.task_queue);
  grant.expires = services.env.now() + life;
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("token", auth::make_join_token(key, grant));
  out.field("pool", grant.task_queue).field("expires", grant.expires);
  if (grant.uses_max > 0) out.field("uses", grant.uses_max);
  out.end_object();
  co_return json_response(std::move(answer));
}

/// Nobody may become a node that is there already.
void check_free(Services& services, NodeId id, const std::string& task_queue, const std::string& worker_group,
                const std::string& worker_id) {
  const state::State& state = services.commits.state();
  for (NodeId known : {state.node_of_worker(worker_group, worker_id), id}) {
    const auto* row = known.empty() ? nullptr : state.table<state::Node>().find(known);
    if (!row) continue;
    const state::Node& node = row->record;
    if (!services.is_silent(known)) {
      throw Error(ErrorCode::conflict, fmt::format("node {} ({}) is at work already", node.name, known.to_string()),
                  "give this agent another --name, or stop the other one and try again a moment later");
    }
    if (node.task_queue != task_queue || node.worker_group != worker_group || node.worker_id != worker_id) {
      throw Error(ErrorCode::conflict,
                  fmt::format("node {} ({}) is known as worker {} of {}", node.name, known.to_string(), node.worker_id,
                              node.task_queue),
                  fmt::format("remove it first: gantry node remove {}", known.to_string()));
    }
  }
}

/// Of a token that may be used so many times; durable when this returns.
Async<> count_use(Services& services, Call& call, auth::JoinGrant grant, NodeId node) {
  if (grant.uses_max == 0) co_return;
  auto tx = services.commits.begin();
  auto used = grid::use_join_token(tx, {grant.id, grant.uses_max, grant.expires}, node);
  co_await services.commits.settled(services.commits.stage(tx, used.has_value()));
  if (!used) log_warning("join: {} was refused: {}", call.request.peer, used.error().message());
  value_or_throw(std::move(used));
}

Async<net::Response> join(Services& services, Call& call, HmacSha256Key key) {
  // Not by call.body(), which wants credentials: the token in it is all that the caller has. So it must be short.
  std::string body = co_await net::read_all(*call.request.body, join_body_bytes_max);
  value_or_throw(auth::check_payload_hash(call.identity, call.request.headers.get("content-type"), body));
  wire::JoinRequest request = value_or_throw(wire::parse_join_request(body));
  auto grant = auth::check_join_token(key, request.token, services.env.now());
  if (!grant) {
    log_warning("join: {} sent a wrong token: {}", call.request.peer, grant.error().message());
    co_await services.env.sleep(wrong_token_pause);
  }
  const auth::JoinGrant& granted = value_or_throw(std::move(grant));
  std::string group = granted.task_queue.substr(0, granted.task_queue.find('/'));
  std::string worker = request.worker_id.empty() ? "node-" + request.node.to_string() : request.worker_id;
  check_free(services, request.node, granted.task_queue, group, worker);
  co_await count_use(services, call, granted, request.node);
  log_info("join: {} becomes {} of {}", call.request.peer, worker, granted.task_queue);
  std::uint64_t read = services.commits.state().last_commit();
  std::string answer = wire::to_json(enrol(services, granted.task_queue, std::move(group), std::move(worker)));
  co_await services.commits.settled(read);
  co_return json_response(std::move(answer));
}

Async<net::Response> renew(Services& services, Call& call, HmacSha256Key) {
  co_await json_body(call);
  auto id = NodeId::parse(call.parameter("nodeId"));
  if (!id) throw Error(ErrorCode::invalid_input, "the node's id is not a slugid");
  const auto* row = services.commits.state().table<state::Node>().find(*id);
  std::uint64_t read = services.commits.state().last_commit();
  if (!row) {
    co_await services.commits.settled(read);
    throw Error(ErrorCode::not_found, fmt::format("there is no node {}", id->to_string()),
                "let its agent join again: gantry node token");
  }
  state::Node node = row->record;
  // The certificate's own name, and not only its scopes: a task that runs with wide scopes must not become a node.
  if (call.identity.client_id != grid::node_client_id(node.task_queue, node.worker_id)) {
    throw Error(ErrorCode::not_authorized, fmt::format("these are not the credentials of node {}", id->to_string()),
                "a node renews its own credentials only");
  }
  call.require("queue:claim-work:" + node.task_queue);
  call.require(fmt::format("queue:worker-id:{}/{}", node.worker_group, node.worker_id));
  co_await services.commits.settled(read);
  co_return json_response(wire::to_json(enrol(services, node.task_queue, node.worker_group, node.worker_id)));
}

}  // namespace

Async<> expire_joins(Services& services) {
  bool more = true;
  while (more) {
    auto tx = services.commits.begin();
    more = grid::expire_joins(tx);
    co_await services.commits.settled(services.commits.stage(tx));
  }
}

void add_join_routes(Router& router, Services& services, const HmacSha256Key& key) {
  auto bind = [&services, key](Async<net::Response> (*handler)(Services&, Call&, HmacSha256Key)) {
    return [&services, key, handler](Call& call) { return handler(services, call, key); };
  };
  using enum net::Method;
  router.add({post, "/v1/join-tokens", "createJoinToken", Dialect::native, bind(create_join_token), true, {}});
  router.add({post, "/v1/join", "join", Dialect::native, bind(join), true, {}});
  router.add({post, "/v1/nodes/:nodeId/renew", "renewNode", Dialect::native, bind(renew), true, {}});
}

}  // namespace gantry::server
