// A shell in a running container: for whoever may read the artifact private/docker-worker/shell.html of the run, over a
// WebSocket, by a signed request or a signed URL. The agent comes to meet it (server/shells.h).
#include "server/api/shells.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/task_lookup.h"
#include "server/auth/signed_url.h"
#include "server/shells.h"
#include "wire/payload.h"

namespace gantry::server {
namespace {

// What signatures are for: no method that HTTP has, so that no signature of another kind of URL is good here.
constexpr std::string_view socket_method = "SHELL";
constexpr std::string_view page_method = "SHELL-PAGE";

const std::string& scope() {
  static const std::string text = "queue:get-artifact:" + std::string(wire::shell_artifact);
  return text;
}

std::string run_name(wire::RunRef run) { return fmt::format("{}/{}", run.task.to_string(), run.run); }

std::string page_path(wire::RunRef run) {
  return fmt::format("/v1/tasks/{}/runs/{}/shell-page", run.task.to_string(), run.run);
}

/// wss://... for https://...
std::string socket_base(const std::string& url) { return "ws" + url.substr(std::string_view("http").size()); }

/// "expires=1795132800&signature=..." as the two segments of a path: clients put a query of their own behind it.
std::string socket_url(const Services& services, const net::Request& request, wire::RunRef run, Time expires) {
  std::string query = auth::signed_url_query(socket_method, run_name(run), expires, services.object_key);
  auto pairs = net::parse_query(query).value_or(std::vector<std::pair<std::string, std::string>>());
  GANTRY_ASSERT(pairs.size() == 2);
  return fmt::format("{}/v1/shells/{}/{}/{}/shell.sock", socket_base(base_url(services, request)), run_name(run),
                     pairs[0].second, pairs[1].second);
}

wire::ShellRequest read_request(const Call& call, wire::RunRef run) {
  wire::ShellRequest request;
  request.run = run;
  std::string_view tty = call.query_value("tty");
  if (tty != "" && tty != "true" && tty != "false") {
    throw Error(ErrorCode::invalid_input, "tty: must be true or false").with_fault(InputFault::arguments);
  }
  request.tty = tty == "true";
  std::size_t bytes = 0;
  for (const auto& [key, value] : call.query) {
    if (key != "command") continue;
    bytes += value.size();
    request.command.push_back(value);
  }
  if (bytes > wire::shell_command_bytes_max || request.command.size() > wire::shell_words_max) {
    throw Error(ErrorCode::invalid_input, "command: is too long", "put it into a file of the container")
        .with_fault(InputFault::arguments);
  }
  return request;
}

/// Throws Error(conflict) for a task that did not ask for it.
Async<> check_feature(Services& services, const state::Task& task) {
  std::string definition = co_await read_definition(services, task);
  json::value document = value_or_throw(parse_json(definition));
  const json::value* payload = document.as_object().if_contains("payload");
  Result<wire::Payload> parsed = Error(ErrorCode::invalid_input, "there is no payload");
  if (payload) parsed = wire::parse_payload(*payload);
  if (parsed && parsed.value().feature("interactive")) co_return;
  throw Error(ErrorCode::conflict, fmt::format("task {} has no shell: it did not ask for one", task.id.to_string()),
              "create it with payload.features.interactive: true");
}

/// The node that has the run's container. Throws Error: not_found, conflict if it does not run, unavailable.
Async<NodeId> find_node(Services& services, wire::RunRef run) {
  state::Task task = co_await durable_task(services, run.task);
  std::string name = fmt::format("run {} of task {}", run.run, run.task.to_string());
  if (static_cast<std::size_t>(run.run) >= task.runs.size()) {
    throw Error(ErrorCode::not_found, fmt::format("there is no {}", name));
  }
  wire::TaskState state = task.runs[static_cast<std::size_t>(run.run)].state;
  if (state != wire::TaskState::running) {
    throw Error(ErrorCode::conflict, fmt::format("{} is not running: it is {}", name, name_of(state)),
                "a shell is there as long as the task's own command");
  }
  co_await check_feature(services, task);
  const auto* allocation =
      services.commits.state().table<state::Allocation>().find(state::AllocationId{run.task, run.run});
  if (!allocation || allocation->record.node.empty()) {
    throw Error(ErrorCode::conflict, fmt::format("{} is not on a node of this server", name),
                "a worker of another kind has shells of its own: see the run's artifacts");
  }
  NodeId node = allocation->record.node;
  if (services.is_silent(node)) {
    throw Error(ErrorCode::unavailable, fmt::format("the node of {} does not answer", name), "see: gantry nodes");
  }
  co_return node;
}

Async<net::Response> open_shell(Services& services, Call& call, wire::RunRef run) {
  wire::ShellRequest request = read_request(call, run);
  NodeId node = co_await find_node(services, run);
  if (!services.may_wait()) throw Error(ErrorCode::unavailable, "the server stops", "try again in a moment");
  // Whoever wants no WebSocket is told so before a session is made.
  auto answer = net::accept_websocket(services.env, call.request, shell_socket_limits(), nullptr);
  auto session = services.shells->open(node, std::move(request));
  if (!session) {
    auto refuse = [](std::shared_ptr<net::WebSocket> socket) {
      return refuse_shell(std::string(wire::too_many_shells), std::move(socket));
    };
    co_return net::accept_websocket(services.env, call.request, shell_socket_limits(), refuse);
  }
  log_info("{} opens a shell in run {} of task {}",
           call.identity.anonymous() ? "a signed URL" : call.identity.client_id, run.run, run.task.to_string());
  services.nodes[node].news.wake_all();
  auto talk = [shells = services.shells, session](std::shared_ptr<net::WebSocket> socket) {
    return shells->serve_client(session, std::move(socket));
  };
  answer = net::accept_websocket(services.env, call.request, shell_socket_limits(), talk);
  answer.undelivered = [shells = services.shells, session] { shells->abandon(session); };
  co_return answer;
}

Async<net::Response> shell_by_scope(Services& services, Call& call) {
  call.require(scope());
  co_return co_await open_shell(services, call, {call.task_id(), call.run_id()});
}

Async<net::Response> shell_by_url(Services& services, Call& call) {
  if (!services.leading)
    throw Error(ErrorCode::unavailable, "the server is reading its state", "try again in a moment");
  wire::RunRef run{call.task_id(), call.run_id()};
  std::string query = fmt::format("expires={}&signature={}", call.parameter("expires"), call.parameter("signature"));
  value_or_throw(auth::check_signed_url(socket_method, run_name(run), query, services.env.now(), services.object_key));
  co_return co_await open_shell(services, call, run);
}

/// Where a client that cannot sign connects to; it may be asked for by scope, or by the URL that the artifact leads to.
Async<net::Response> shell_page(Services& services, Call& call) {
  wire::RunRef run{call.task_id(), call.run_id()};
  if (call.query_value("signature").empty()) {
    call.require(scope());
  } else {
    value_or_throw(auth::check_signed_url(page_method, run_name(run), call.request.query(), services.env.now(),
                                          services.object_key));
  }
  co_await find_node(services, run);
  Time expires = services.env.now() + auth::signed_url_life_max;
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("socketUrl", socket_url(services, call.request, run, expires));
  out.field("taskId", run.task.to_string()).field("runId", run.run).field("expires", expires).end_object();
  co_return json_response(std::move(body));
}

Async<net::Response> meet_shell(Services& services, Call& call) {
  auto id = NodeId::parse(call.parameter("nodeId"));
  const auto* node = id ? services.commits.state().table<state::Node>().find(*id) : nullptr;
  if (!node) throw Error(ErrorCode::not_found, "there is no such node");
  call.require(fmt::format("queue:worker-id:{}/{}", node->record.worker_group, node->record.worker_id));
  auto answer = net::accept_websocket(services.env, call.request, shell_socket_limits(), nullptr);
  auto session = services.shells->claim(*id, call.parameter("session"));
  auto talk = [shells = services.shells, session](std::shared_ptr<net::WebSocket> socket) {
    return shells->serve_agent(session, std::move(socket));
  };
  answer = net::accept_websocket(services.env, call.request, shell_socket_limits(), talk);
  answer.undelivered = [shells = services.shells, session] { shells->abandon(session); };
  co_return answer;
}

}  // namespace

std::optional<std::string> shell_page_url(const Services& services, const net::Request& request,
                                          const state::Artifact& artifact) {
  wire::RunRef run{artifact.id.task, artifact.id.run};
  bool ours = artifact.id.name == wire::shell_artifact && artifact.type == state::StorageType::reference &&
              artifact.target.ends_with(page_path(run));
  if (!ours) return std::nullopt;
  Time expires = services.env.now() + auth::signed_url_life_max;
  return fmt::format("{}{}?{}", base_url(services, request), page_path(run),
                     auth::signed_url_query(page_method, run_name(run), expires, services.object_key));
}

void add_shell_routes(Router& router, Services& services) {
  Bind bind{services};
  using enum net::Method;
  const std::string run = "/v1/tasks/:taskId/runs/:runId";
  const std::string by_url = "/v1/shells/:taskId/:runId/:expires/:signature/shell.sock";
  std::vector<std::string> asked = {"tty", "command"};
  std::vector<std::string> sealed = {"expires", "signature"};
  router.add({get, run + "/shell", "openShell", Dialect::native, bind(shell_by_scope), true, asked});
  router.add({get, by_url, "openShellByUrl", Dialect::native, bind(shell_by_url), false, asked});
  router.add({get, run + "/shell-page", "shellPage", Dialect::native, bind(shell_page), true, sealed});
  router.add({get, "/v1/nodes/:nodeId/shells/:session", "meetShell", Dialect::native, bind(meet_shell), true, {}});
}

}  // namespace gantry::server
