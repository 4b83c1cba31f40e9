// Machines become nodes: join tokens, the credentials that a token is exchanged for, and their renewal. What a node
// gets lets it claim from its pool under its own name, and nothing else.
#include <fmt/format.h>

#include "base/log.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/auth/join_token.h"
#include "wire/join_messages.h"
#include "wire/task_definition.h"

namespace gantry::server {
namespace {

/// Less than certificates may live, so that a node's clock may be wrong by as much as anyone's.
constexpr Duration credentials_life = days(30);
constexpr Duration backdate = minutes(5);
constexpr Duration token_life_min = minutes(1);
constexpr Duration token_life_max = days(7);
/// Who guesses tokens waits this long for each answer.
constexpr Duration wrong_token_pause = milliseconds(500);
constexpr std::size_t join_body_bytes_max = 8 * 1024;

constexpr ObjectReader::TextRule pool_rule{3, 77, wire::is_task_queue_id, "\"<provisionerId>/<workerType>\""};

/// Who a node is among the clients.
std::string client_of(std::string_view task_queue, std::string_view worker_id) {
  return fmt::format("node/{}/{}", task_queue, worker_id);
}

wire::Enrolment enrol(Services& services, std::string task_queue, std::string worker_group, std::string worker_id) {
  wire::Enrolment enrolment;
  enrolment.issued = services.env.now();
  enrolment.expires = enrolment.issued + credentials_life;
  std::vector<std::string> scopes{"queue:claim-work:" + task_queue,
                                  fmt::format("queue:worker-id:{}/{}", worker_group, worker_id)};
  auto issued =
      services.authenticator.issue_temporary(client_of(task_queue, worker_id), scopes, enrolment.issued - backdate,
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
  grant.task_queue = reader.required_text("pool", pool_rule);
  auto life = seconds(reader.required_integer("ttlSeconds", token_life_min / seconds(1), token_life_max / seconds(1)));
  value_or_throw(reader.finish());
  call.require("gantry:create-join-token:" + grant.task_queue);
  grant.expires = services.env.now() + life;
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("token", auth::make_join_token(key, grant, wire::hawk_nonce(services.env)));
  out.field("pool", grant.task_queue).field("expires", grant.expires).end_object();
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
  if (call.identity.client_id != client_of(node.task_queue, node.worker_id)) {
    throw Error(ErrorCode::not_authorized, fmt::format("these are not the credentials of node {}", id->to_string()),
                "a node renews its own credentials only");
  }
  call.require("queue:claim-work:" + node.task_queue);
  call.require(fmt::format("queue:worker-id:{}/{}", node.worker_group, node.worker_id));
  co_await services.commits.settled(read);
  co_return json_response(wire::to_json(enrol(services, node.task_queue, node.worker_group, node.worker_id)));
}

}  // namespace

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
