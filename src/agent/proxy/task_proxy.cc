#include "agent/proxy/task_proxy.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/proxy/limits.h"
#include "agent/proxy/request.h"
#include "agent/task/scopes.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr std::size_t port_text_bytes_max = 16;

net::Response refusal(int status, std::string_view code, const std::string& message) {
  net::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  JsonWriter out(response.body);
  out.begin_object().field("code", code).field("message", message).end_object();
  return response;
}

net::Response refusal(const Error& error) {
  std::string text = error.hint().empty() ? error.message() : fmt::format("{}; {}", error.message(), error.hint());
  switch (error.code()) {
    case ErrorCode::invalid_input: return refusal(404, "ResourceNotFound", text);
    case ErrorCode::too_large: return refusal(413, "InputTooLarge", text);
    case ErrorCode::not_authorized: return refusal(403, "InsufficientScopes", text);
    case ErrorCode::unavailable: return refusal(502, "BadGateway", text);
    case ErrorCode::deadline_exceeded: return refusal(504, "GatewayTimeout", text);
    default: return refusal(500, "InternalServerError", text);
  }
}

/// To whoever is no task of ours: nothing else may come on this connection.
net::Response turn_away() {
  net::Response response = refusal(403, "InsufficientScopes", "only tasks with the feature taskclusterProxy may ask");
  response.headers.add("Connection", "close");
  return response;
}

/// "172.18.0.5:40210" without the port.
std::string address_of(const std::string& peer) { return peer.substr(0, peer.rfind(':')); }

/// A body that must not be longer than proxy_body_bytes_max.
class BoundedBody : public net::BodyReader {
 public:
  explicit BoundedBody(std::shared_ptr<net::BodyReader> body) : body_(std::move(body)) {}
  Async<std::string> read_some() override {
    std::string piece = co_await body_->read_some();
    left_ -= static_cast<std::int64_t>(piece.size());
    if (left_ < 0) throw Error(ErrorCode::too_large, "the request's body is too large");
    co_return piece;
  }

 private:
  std::shared_ptr<net::BodyReader> body_;
  std::int64_t left_ = proxy_body_bytes_max;
};

std::int64_t length_of(const net::Headers& headers) {
  std::string_view text = headers.get("Content-Length");
  std::int64_t length = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  return error == std::errc() && end == text.data() + text.size() ? length : -1;
}

int read_port(const std::string& file) {
  std::string text;
  try {
    text = read_text_file(file, port_text_bytes_max);
  } catch (const Error&) {
    return 0;  // the first time
  }
  int port = 0;
  std::from_chars(text.data(), text.data() + text.size(), port);
  return port > 0 && port <= 65535 ? port : 0;
}

}  // namespace

struct TaskProxy::Guest {
  RunContext* run = nullptr;  // null once it is admitted no more
  std::vector<std::string> scopes;
  std::string address;  // of its container, once it has been seen running
  Signer signed_by;     // the run's signer when `signer` was made of it
  Signer signer;
  int requests = 0;
};

class TaskProxy::Ticket : public Admission {
 public:
  Ticket(TaskProxy& proxy, GuestPointer guest) : proxy_(proxy), guest_(std::move(guest)) {}
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  ~Ticket() override {
    guest_->run = nullptr;
    std::erase(proxy_.guests_, guest_);
  }

 private:
  TaskProxy& proxy_;
  GuestPointer guest_;
};

TaskProxy::TaskProxy(Env& env, engine::Engine& engine, ServerApi& server, std::string network, std::string port_file)
    : env_(env), engine_(engine), server_(server), network_(std::move(network)), port_file_(std::move(port_file)) {}

TaskProxy::~TaskProxy() = default;

void TaskProxy::listen_on(const std::string& host, bool again) {
  net::ServerLimits limits;
  limits.connections_max = proxy_connections_max;
  limits.idle_timeout = proxy_idle_timeout;
  const int last = read_port(port_file_);
  std::vector<int> ports = {proxy_port, 0};
  if (again && last > 0) ports.insert(ports.begin(), last);
  std::unique_ptr<net::HttpServer> http;
  for (int port : ports) {
    try {
      http = std::make_unique<net::HttpServer>(env_, fmt::format("{}:{}", host, port), *this, limits);
      break;
    } catch (const Error& error) {
      if (port != 0) continue;
      throw Error(ErrorCode::unsupported, error.message(),
                  engine_host_.empty() ? "the agent must run on the machine of its container engine, or know of it: "
                                         "--task-host"
                                       : "--proxy-address must be an address of this machine");
    }
  }
  if (again && last > 0 && http->port() != last) {
    log_warning("the tasks' proxy cannot have its port {} again: tasks that run since before cannot reach it", last);
  }
  write_private_file(port_file_, fmt::format("{}\n", http->port()));
  http->start();
  if (http_) retired_.push_back(std::move(http_));
  http_ = std::move(http);
  host_ = host;
  log_info("the tasks' proxy listens on {}:{}", host_, http_->port());
}

void TaskProxy::be_away_from(std::string engine_host, std::string address) {
  engine_host_ = std::move(engine_host);
  remote_address_ = std::move(address);
}

Async<TaskProxy::Address> TaskProxy::open(bool again) {
  if (!engine_host_.empty()) {
    if (remote_address_.empty()) {
      throw Error(ErrorCode::unsupported,
                  fmt::format("containers run on {}, from where they do not reach this agent", engine_host_),
                  "start the agent on that machine, or with --proxy-address");
    }
    if (!http_) listen_on(remote_address_, again);
    co_return Address{host_, http_->port()};
  }
  engine::NetworkInfo network = co_await engine_.network_info(network_);
  if (network.gateway.empty()) {
    throw Error(ErrorCode::unsupported, fmt::format("network {} has no address on this machine", network_));
  }
  if (!http_ || host_ != network.gateway) listen_on(network.gateway, again);
  co_return Address{host_, http_->port()};
}

std::unique_ptr<Admission> TaskProxy::admit(RunContext& run) {
  auto guest = std::make_shared<Guest>();
  guest->run = &run;
  guest->scopes = task_scopes(run);
  Signer signer = signer_of(*guest);
  std::size_t bytes = signer->header({"GET", "/", "host", 80}, env_.now(), "nonce").size();
  if (bytes > wire::hawk_header_bytes_max) {
    throw Error(ErrorCode::too_large, fmt::format("its {} scopes do not fit into a request", guest->scopes.size()),
                "name a role (assume:...) instead of its scopes");
  }
  guests_.push_back(guest);
  return std::make_unique<Ticket>(*this, std::move(guest));
}

Async<> TaskProxy::stop() {
  if (http_) retired_.push_back(std::move(http_));
  for (auto& http : retired_) co_await http->stop(proxy_stop_grace);
  retired_.clear();
}

/// The run's credentials, as they are now, for the task's scopes only.
Signer TaskProxy::signer_of(Guest& guest) const {
  if (guest.signed_by != guest.run->signer) {
    guest.signed_by = guest.run->signer;
    guest.signer = std::make_shared<const wire::HawkSigner>(guest.signed_by->narrowed(guest.scopes));
  }
  return guest.signer;
}

/// The run whose container has this address; null if it is none of ours.
Async<TaskProxy::GuestPointer> TaskProxy::find_guest(std::string address) {
  const std::vector<GuestPointer> guests = guests_;
  for (const GuestPointer& guest : guests) {
    bool possible = guest->address.empty() || guest->address == address;
    if (!possible || !guest->run || guest->run->container.empty()) continue;
    std::optional<Error> failure;
    engine::ContainerState state;
    try {
      // One that shares another one's network has no address of its own.
      const std::string& beside = guest->run->plan.network_of;
      state = co_await engine_.inspect_container(beside.empty() ? guest->run->container : beside);
    } catch (const Error& error) {
      failure = error;
    }
    if (failure && failure->code() == ErrorCode::not_found) continue;
    if (failure) throw *failure;
    if (!guest->run || !state.running || state.address.empty()) continue;
    guest->address = state.address;
    if (state.address == address) co_return guest;
  }
  co_return nullptr;
}

Async<net::Response> TaskProxy::handle(net::Request request) {
  std::optional<Error> failure;
  try {
    co_return co_await answer(std::move(request));
  } catch (const Error& error) {
    failure = error;
  }
  co_return refusal(*failure);
}

Async<net::Response> TaskProxy::answer(net::Request request) {
  GuestPointer guest = co_await find_guest(address_of(request.peer));
  if (!guest) co_return turn_away();
  if (guest->requests >= proxy_requests_max) {
    co_return refusal(503, "TooManyRequests",
                      fmt::format("the task has {} requests under way already", proxy_requests_max));
  }
  struct Count {
    explicit Count(int& n) : count(n) { ++count; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    ~Count() { --count; }
    int& count;
  };
  Count counted(guest->requests);
  if (request.method == net::Method::post && request.target == "/bewit") {
    co_return co_await give_bewit(guest, std::move(request));
  }
  if (request.method == net::Method::other) co_return refusal(405, "InputError", "this method is not sent on");
  auto target = proxied_target(request.target, server_.host_header());
  if (!target) co_return refusal(target.error());
  co_return co_await forward(guest, std::move(request), target.value());
}

Async<net::Response> TaskProxy::give_bewit(GuestPointer guest, net::Request request) {
  std::string url = co_await net::read_all(*request.body, proxy_bewit_url_bytes_max);
  while (!url.empty() && (url.back() == '\n' || url.back() == '\r' || url.back() == ' ')) url.pop_back();
  auto target = signable_target(url, server_.root_url());
  if (!target) co_return refusal(400, "InputError", target.error().message() + "; " + target.error().hint());
  if (!guest->run) co_return turn_away();
  net::Response response;
  response.status = 303;
  response.headers.add("Location",
                       server_.signed_url(signer_of(*guest), target.value(), server_.now() + proxy_bewit_life));
  co_return response;
}

Async<net::Response> TaskProxy::forward(GuestPointer guest, net::Request request, std::string target) {
  net::OutgoingRequest outgoing;
  outgoing.method = request.method;
  outgoing.target = target;
  outgoing.headers = headers_for_server(request.headers);
  outgoing.timeout = proxy_answer_timeout;
  bool has_body = request.content_length > 0 || request.headers.has("Transfer-Encoding");
  bool small = !has_body || (request.content_length > 0 && request.content_length <= proxy_replay_bytes_max);
  if (request.content_length > proxy_body_bytes_max) {
    throw Error(ErrorCode::too_large, fmt::format("the request's body has more than {} bytes", proxy_body_bytes_max));
  }
  if (has_body && small) {
    outgoing.body = co_await net::read_all(*request.body, static_cast<std::size_t>(proxy_replay_bytes_max));
  } else if (has_body) {
    outgoing.stream = std::make_shared<BoundedBody>(request.body);
    outgoing.stream_bytes = request.content_length;
    std::int64_t bytes = request.content_length > 0 ? request.content_length : proxy_body_bytes_max;
    outgoing.timeout += seconds(bytes / upload_bytes_per_s_min);
  }
  net::OpenResponse opened = co_await exchange(guest, std::move(outgoing), small && is_idempotent(request.method));
  co_return make_response(*guest, guest->signer, target, std::move(opened));
}

Async<net::OpenResponse> TaskProxy::exchange(GuestPointer guest, net::OutgoingRequest request, bool replayable) {
  const int tries = replayable ? proxy_tries_max : 1;
  Duration delay = proxy_retry_delay;
  for (int attempt = 1;; ++attempt) {
    if (!guest->run) throw Error(ErrorCode::not_authorized, "the task is over");
    std::optional<Error> failure;
    try {
      net::OpenResponse opened = co_await server_.forward(signer_of(*guest), request);
      if (opened.head.status < 500 || attempt == tries) co_return opened;
    } catch (const Error& error) {
      failure = error;
    }
    if (failure && (!may_retry(*failure) || attempt == tries)) throw *failure;
    co_await env_.sleep(delay);
    delay *= 2;
  }
}

net::Response TaskProxy::make_response(const Guest& guest, const Signer& signer, const std::string& target,
                                       net::OpenResponse opened) const {
  net::Response response;
  response.status = opened.head.status;
  response.headers = headers_for_task(opened.head.headers);
  response.stream_bytes = length_of(opened.head.headers);
  response.stream = std::move(opened.body);
  response.headers.set("X-Taskcluster-Endpoint", server_.root_url() + target);
  response.headers.set("X-Taskcluster-Proxy-Version", GANTRY_VERSION);
  response.headers.set("X-Taskcluster-Proxy-Temp-ClientId", signer->client_id());
  std::string scopes;
  JsonWriter out(scopes);
  out.begin_array();
  for (const std::string& scope : guest.scopes) out.string(scope);
  out.end_array();
  if (scopes.size() <= proxy_scopes_header_bytes_max) {
    response.headers.set("X-Taskcluster-Proxy-Temp-Scopes", scopes);
  }
  return response;
}

}  // namespace gantry::agent
