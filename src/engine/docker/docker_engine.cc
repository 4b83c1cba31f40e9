#include "engine/docker/docker_engine.h"

#include <algorithm>

#include <fmt/core.h>

#include "engine/docker/docker_json.h"
#include "engine/docker/image_reference.h"
#include "engine/docker/limits.h"
#include "engine/docker/output_stream.h"
#include "engine/docker/pull_progress.h"
#include "net/http_client.h"

namespace gantry::engine {

namespace docker {

namespace {

/// One request. `path` is without the version; `what` says what it does, for messages.
struct Call {
  net::Method method = net::Method::get;
  std::string path;
  std::string what;
  std::string body = {};
  Duration timeout = call_timeout;
  std::size_t body_bytes_max = answer_bytes_max;
};

bool is_success(int status) { return status >= 200 && status < 300; }

/// Ids and names go into paths, where "." and ".." would lead elsewhere.
std::string checked_id(std::string id) {
  bool good = !id.empty() && id.size() <= container_name_bytes_max && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
  if (!good || id[0] == '.') {
    throw Error(ErrorCode::invalid_input,
                fmt::format("\"{}\" is not a container's id or name", id.substr(0, container_name_bytes_max)));
  }
  return id;
}

std::string short_id(const std::string& id) { return id.substr(0, 12); }

class DockerEngine : public Engine {
 public:
  /// `fresh` makes a new connection for each request.
  DockerEngine(Env& env, std::shared_ptr<net::Transport> transport, std::shared_ptr<net::Transport> fresh)
      : env_(env), transport_(std::move(transport)), fresh_(std::move(fresh)) {}

  Async<EngineInfo> info() override;
  Async<> probe() override;
  Async<bool> has_image(std::string image) override;
  Async<> pull_image(std::string image, std::function<void(std::string)> progress) override;
  Async<std::string> create_container(ContainerSpec spec) override;
  Async<std::shared_ptr<OutputStream>> attach(std::string id) override;
  Async<> start_container(std::string id) override;
  Async<std::shared_ptr<OutputStream>> logs(std::string id, bool follow) override;
  Async<int> wait_container(std::string id) override;
  Async<ContainerState> inspect_container(std::string id) override;
  Async<> kill_container(std::string id, std::string signal) override;
  Async<> remove_container(std::string id) override;
  Async<std::shared_ptr<net::BodyReader>> copy_out(std::string id, std::string path) override;
  Async<std::vector<ContainerSummary>> list_containers(std::string label, std::string value) override;
  Async<> ensure_network(std::string name) override;

 private:
  Async<Version> read_version();
  /// Sets prefix_ if it is not known yet.
  Async<> negotiate();
  net::OutgoingRequest request_of(Call call) const;
  /// The answer, whatever its status; negotiates first.
  Async<net::IncomingResponse> exchange(Call call);
  /// The answer if its status says success, else status_error().
  Async<std::string> call(Call call);
  Async<net::OpenResponse> open(Call call);
  Async<std::vector<Network>> networks_named(std::string name);
  Async<> remove_network(std::string id);
  /// True if it is there now, and the only one of its name.
  Async<bool> create_network(std::string name);

  Env& env_;
  std::shared_ptr<net::Transport> transport_;
  std::shared_ptr<net::Transport> fresh_;
  std::string prefix_;  // "/v1.41" once it is known
};

Async<Version> DockerEngine::read_version() {
  std::string what = "ask for the version";
  net::OutgoingRequest request = request_of({.path = "", .what = what, .timeout = ping_timeout});
  request.target = "/version";  // every engine answers this one without a version
  std::exception_ptr failure;
  net::IncomingResponse answer;
  try {
    answer = co_await transport_->exchange(std::move(request), answer_bytes_max);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) rethrow_in_context(failure, what);
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
  co_return parse_version(answer.body);
}

Async<> DockerEngine::negotiate() {
  if (!prefix_.empty()) co_return;
  Version version = co_await read_version();
  prefix_ = version_prefix(negotiate_version(version));
}

net::OutgoingRequest DockerEngine::request_of(Call call) const {
  net::OutgoingRequest request;
  request.method = call.method;
  request.target = prefix_ + call.path;
  request.timeout = call.timeout;
  if (!call.body.empty()) request.headers.add("Content-Type", "application/json");
  request.body = std::move(call.body);
  return request;
}

Async<net::IncomingResponse> DockerEngine::exchange(Call call) {
  co_await negotiate();
  std::string what = call.what;
  std::size_t body_bytes_max = call.body_bytes_max;
  std::exception_ptr failure;
  try {
    co_return co_await transport_->exchange(request_of(std::move(call)), body_bytes_max);
  } catch (...) {
    failure = std::current_exception();
  }
  rethrow_in_context(failure, what);
}

Async<std::string> DockerEngine::call(Call call) {
  std::string what = call.what;
  net::IncomingResponse answer = co_await exchange(std::move(call));
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
  co_return std::move(answer.body);
}

Async<net::OpenResponse> DockerEngine::open(Call call) {
  co_await negotiate();
  std::string what = call.what;
  std::exception_ptr failure;
  net::OpenResponse answer;
  try {
    answer = co_await transport_->open(request_of(std::move(call)));
    if (!is_success(answer.head.status)) answer.head.body = co_await net::read_all(*answer.body, error_bytes_max);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) rethrow_in_context(failure, what);
  co_return answer;
}

Async<EngineInfo> DockerEngine::info() {
  Version version = co_await read_version();
  prefix_ = version_prefix(negotiate_version(version));
  EngineInfo info;
  info.name = "docker " + version.engine;
  parse_info(co_await call({.path = "/info", .what = "ask for the machine's size", .timeout = ping_timeout}), info);
  co_return info;
}

Async<> DockerEngine::probe() {
  net::OutgoingRequest request;
  request.target = "/_ping";
  request.timeout = ping_timeout;
  net::IncomingResponse answer = co_await fresh_->exchange(std::move(request), answer_bytes_max);
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, "ping the engine");
}

Async<bool> DockerEngine::has_image(std::string image) {
  parse_image_reference(image);
  std::string what = "look for image " + image;
  net::IncomingResponse answer =
      co_await exchange({.path = "/images/" + net::percent_encode(image) + "/json", .what = what});
  if (answer.status == 404) co_return false;
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
  co_return true;
}

Async<> DockerEngine::pull_image(std::string image, std::function<void(std::string)> progress) {
  ImageReference reference = parse_image_reference(image);
  net::OpenResponse answer = co_await open({.method = net::Method::post,
                                            .path = "/images/create?fromImage=" + net::percent_encode(reference.name) +
                                                    "&tag=" + net::percent_encode(reference.tag),
                                            .what = "pull image " + image,
                                            .timeout = pull_silence_timeout});
  if (!is_success(answer.head.status)) {
    throw pull_error(image, answer.head.status, error_text(answer.head.status, answer.head.body));
  }
  auto body = in_context(answer.body, "pull image " + image);
  PullProgress lines(image, std::move(progress));
  while (true) {
    std::string bytes = co_await body->read_some();
    if (bytes.empty()) break;
    lines.feed(bytes, env_.uptime());
  }
  lines.finish(env_.uptime());
}

Async<std::string> DockerEngine::create_container(ContainerSpec spec) {
  parse_image_reference(spec.image);
  std::string name = checked_id(spec.name);
  std::string answer = co_await call({.method = net::Method::post,
                                      .path = "/containers/create?name=" + net::percent_encode(name),
                                      .what = fmt::format("create container {} of image {}", name, spec.image),
                                      .body = container_create_json(spec)});
  co_return checked_id(parse_id(answer));
}

Async<std::shared_ptr<OutputStream>> DockerEngine::attach(std::string id) {
  id = checked_id(std::move(id));
  co_await negotiate();
  std::string what = "attach to container " + short_id(id);
  net::OutgoingRequest request = request_of(
      {.method = net::Method::post, .path = "/containers/" + id + "/attach?stream=1&stdout=1&stderr=1", .what = what});
  std::exception_ptr failure;
  std::shared_ptr<net::RawStream> stream;
  try {
    stream = co_await transport_->upgrade(std::move(request), "tcp");
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    // An upgrade that was refused does not say why in a form of ours; asking for the container does.
    if (!is_cancelled(failure)) co_await inspect_container(id);
    rethrow_in_context(failure, what);
  }
  co_return decode_frames(std::move(stream), "read the output of container " + short_id(id));
}

Async<> DockerEngine::start_container(std::string id) {
  id = checked_id(std::move(id));
  std::string what = "start container " + short_id(id);
  net::IncomingResponse answer =
      co_await exchange({.method = net::Method::post, .path = "/containers/" + id + "/start", .what = what});
  if (answer.status == 304) co_return;  // it runs already
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
}

Async<std::shared_ptr<OutputStream>> DockerEngine::logs(std::string id, bool follow) {
  id = checked_id(std::move(id));
  std::string what = "read the log of container " + short_id(id);
  net::OpenResponse answer =
      co_await open({.path = fmt::format("/containers/{}/logs?stdout=1&stderr=1&follow={}", id, follow ? 1 : 0),
                     .what = what,
                     .timeout = follow ? follow_silence_timeout : call_timeout});
  if (!is_success(answer.head.status)) throw status_error(answer.head.status, answer.head.body, what);
  co_return decode_frames(std::move(answer.body), what);
}

Async<int> DockerEngine::wait_container(std::string id) {
  id = checked_id(std::move(id));
  std::string what = "wait for container " + short_id(id);
  // "not-running" is true of an exit that has happened before the request, so asking again misses nothing.
  for (;;) {
    std::exception_ptr failure;
    std::string answer;
    try {
      answer = co_await call({.method = net::Method::post,
                              .path = "/containers/" + id + "/wait?condition=not-running",
                              .what = what,
                              .timeout = wait_round_timeout});
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) {
      if (error_of(failure).code() == ErrorCode::deadline_exceeded) continue;
      std::rethrow_exception(failure);
    }
    WaitResult result = parse_wait(answer);
    if (!result.error.empty()) throw Error(ErrorCode::unavailable, fmt::format("docker: {}: {}", what, result.error));
    co_return result.exit_code;
  }
}

Async<ContainerState> DockerEngine::inspect_container(std::string id) {
  id = checked_id(std::move(id));
  std::string answer =
      co_await call({.path = "/containers/" + id + "/json", .what = "inspect container " + short_id(id)});
  co_return parse_container_state(answer);
}

Async<> DockerEngine::kill_container(std::string id, std::string signal) {
  id = checked_id(std::move(id));
  std::string what = fmt::format("send {} to container {}", signal, short_id(id));
  net::IncomingResponse answer =
      co_await exchange({.method = net::Method::post,
                         .path = "/containers/" + id + "/kill?signal=" + net::percent_encode(signal),
                         .what = what});
  if (answer.status == 404 || answer.status == 409) co_return;  // gone, or does not run
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
}

Async<> DockerEngine::remove_container(std::string id) {
  id = checked_id(std::move(id));
  std::string what = "remove container " + short_id(id);
  Duration delay = remove_retry_delay_min;
  for (int attempt = 1;; ++attempt) {
    net::IncomingResponse answer =
        co_await exchange({.method = net::Method::delete_, .path = "/containers/" + id + "?force=1&v=1", .what = what});
    if (answer.status == 404 || is_success(answer.status)) co_return;
    // 409: somebody else's removal is under way; ours is over when the container is gone.
    if (answer.status != 409 || attempt == remove_attempts_max) {
      throw status_error(answer.status, answer.body, what);
    }
    co_await env_.sleep(delay);
    delay = std::min(delay * 2, remove_retry_delay_max);
  }
}

Async<std::shared_ptr<net::BodyReader>> DockerEngine::copy_out(std::string id, std::string path) {
  id = checked_id(std::move(id));
  std::string what = fmt::format("copy {} out of container {}", path, short_id(id));
  net::OpenResponse answer = co_await open({.path = "/containers/" + id + "/archive?path=" + net::percent_encode(path),
                                            .what = what,
                                            .timeout = archive_timeout});
  if (!is_success(answer.head.status)) throw status_error(answer.head.status, answer.head.body, what);
  co_return in_context(std::move(answer.body), what);
}

Async<std::vector<ContainerSummary>> DockerEngine::list_containers(std::string label, std::string value) {
  std::string filters = filters_json("label", label + "=" + value);
  std::string answer = co_await call({.path = "/containers/json?all=1&filters=" + net::percent_encode(filters),
                                      .what = fmt::format("list containers with {}={}", label, value),
                                      .body_bytes_max = list_bytes_max});
  co_return parse_container_list(answer);
}

Async<std::vector<Network>> DockerEngine::networks_named(std::string name) {
  // The engine's filter also finds names that contain this one.
  std::string filters = filters_json("name", name);
  std::vector<Network> networks = parse_networks(
      co_await call({.path = "/networks?filters=" + net::percent_encode(filters), .what = "look for network " + name}));
  std::erase_if(networks, [&](const Network& network) { return network.name != name; });
  co_return networks;
}

Async<> DockerEngine::remove_network(std::string id) {
  std::string what = "remove network " + short_id(id);
  net::IncomingResponse answer =
      co_await exchange({.method = net::Method::delete_, .path = "/networks/" + net::percent_encode(id), .what = what});
  if (answer.status == 404 || is_success(answer.status)) co_return;
  throw status_error(answer.status, answer.body, what);
}

Async<bool> DockerEngine::create_network(std::string name) {
  std::string what = "create network " + name;
  net::IncomingResponse answer = co_await exchange(
      {.method = net::Method::post, .path = "/networks/create", .what = what, .body = network_create_json(name)});
  if (answer.status == 409) co_return false;  // somebody else was quicker
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
  // Docker's check for duplicates is not atomic, and a name that two networks share can no longer be used. Whoever sees
  // a second one takes its own away again: then at most one is left, and all who have none try again.
  std::vector<Network> networks = co_await networks_named(std::move(name));
  if (networks.size() > 1) co_await remove_network(parse_id(answer.body));
  co_return networks.size() == 1;
}

Async<> DockerEngine::ensure_network(std::string name) {
  checked_id(name);
  for (int attempt = 1; attempt <= network_attempts_max; ++attempt) {
    std::vector<Network> networks = co_await networks_named(name);
    if (networks.size() == 1 && networks[0].isolated) co_return;
    if (networks.size() == 1) {
      throw Error(ErrorCode::conflict,
                  fmt::format("docker: network {} exists, but lets its containers talk to each other", name),
                  fmt::format("remove it with: docker network rm {}", name));
    }
    if (networks.empty() && co_await create_network(name)) co_return;
    auto spread = static_cast<std::uint64_t>(network_retry_delay_max.count());
    co_await env_.sleep(Duration(static_cast<Duration::rep>(env_.random() % spread)));
  }
  throw Error(ErrorCode::conflict, fmt::format("docker: there are several networks with the name {}", name),
              "list them with docker network ls, and remove all but one by id with docker network rm");
}

}  // namespace

}  // namespace docker

std::unique_ptr<Engine> make_docker_engine(Env& env, std::string url) {
  net::Endpoint endpoint = value_or_throw(net::parse_endpoint(url));
  return std::make_unique<docker::DockerEngine>(env, net::make_http_client(env, endpoint),
                                                net::make_http_client(env, endpoint, 0));
}

std::unique_ptr<Engine> make_docker_engine(Env& env, std::shared_ptr<net::Transport> transport) {
  return std::make_unique<docker::DockerEngine>(env, transport, transport);
}

}  // namespace gantry::engine
