#include "engine/docker/docker_engine.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/core.h>

#include "engine/docker/exec_session.h"
#include "engine/docker/image_reference.h"
#include "engine/docker/images.h"
#include "engine/docker/output_stream.h"
#include "engine/docker/stored_files.h"
#include "net/http_client.h"

namespace gantry::engine {

namespace docker {

namespace {

/// A quota on a storage driver that has none comes as an internal error of the engine, which trying again cannot mend.
Error creation_error(const ContainerSpec& spec, const net::IncomingResponse& answer, const std::string& what) {
  Error error = status_error(answer.status, answer.body, what);
  bool of_quota = spec.disk_bytes > 0 && (error.message().find("storage-opt") != std::string::npos ||
                                          error.message().find("torage opt") != std::string::npos ||
                                          error.message().find("uota") != std::string::npos);
  if (!of_quota) return error;
  return Error(
      ErrorCode::unsupported, "this engine cannot limit what a container writes: " + error.message(),
      "leave the limit out, or give the engine a storage driver that can: overlay2 on xfs mounted with pquota");
}

class DockerEngine : public Engine {
 public:
  /// `on_this_machine`: paths that the engine names lead to its files, if this process may read them.
  DockerEngine(Env& env, std::shared_ptr<Requests> requests, bool on_this_machine)
      : env_(env), requests_(std::move(requests)), images_(requests_), on_this_machine_(on_this_machine) {}

  Async<EngineInfo> info() override;
  Async<> probe() override;
  Async<bool> has_image(std::string image) override;
  Async<> pull_image(std::string image, std::optional<RegistryLogin> login,
                     std::function<void(std::string)> progress) override {
    return images_.pull(std::move(image), std::move(login), std::move(progress));
  }
  Async<std::optional<ImageInfo>> inspect_image(std::string image) override {
    return images_.inspect(std::move(image));
  }
  Async<std::vector<ImageInfo>> list_images() override { return images_.list(); }
  Async<std::vector<std::string>> load_image(std::shared_ptr<net::BodyReader> tar, std::int64_t bytes) override {
    return images_.load(std::move(tar), bytes);
  }
  Async<std::shared_ptr<net::BodyReader>> save_image(std::string image) override {
    return images_.save(std::move(image));
  }
  Async<> tag_image(std::string id, std::string reference) override {
    return images_.tag(std::move(id), std::move(reference));
  }
  Async<> remove_image(std::string reference) override { return images_.remove(std::move(reference)); }
  Async<std::string> commit_container(std::string id, std::string reference) override {
    return images_.commit(std::move(id), std::move(reference));
  }
  Async<> create_volume(std::string name, std::map<std::string, std::string> labels) override;
  Async<> remove_volume(std::string name) override;
  Async<std::vector<VolumeInfo>> list_volumes(std::string label, std::string value) override;
  Async<std::string> create_container(ContainerSpec spec) override;
  Async<std::shared_ptr<OutputStream>> attach(std::string id) override;
  Async<> start_container(std::string id) override;
  Async<std::shared_ptr<OutputStream>> logs(std::string id, bool follow) override;
  Async<int> wait_container(std::string id) override;
  Async<ContainerState> inspect_container(std::string id) override;
  Async<> kill_container(std::string id, std::string signal) override;
  Async<> remove_container(std::string id) override;
  Async<std::shared_ptr<net::BodyReader>> copy_out(std::string id, std::string path) override;
  Async<std::optional<OpenFile>> open_file(std::string id, std::string path) override;
  Async<> copy_in(std::string id, std::string directory, std::shared_ptr<net::BodyReader> tar,
                  std::int64_t bytes) override;
  Async<std::shared_ptr<ExecSession>> exec(std::string id, ExecSpec spec) override;
  Async<std::vector<ContainerSummary>> list_containers(std::string label, std::string value) override;
  Async<> ensure_network(std::string name) override;
  Async<NetworkInfo> network_info(std::string name) override;

 private:
  /// Whether the container has a terminal, so that its output has no frames.
  Async<bool> has_terminal(std::string id);
  void remember(const std::string& id, bool terminal);
  Async<std::vector<Network>> networks_named(std::string name);
  Async<> remove_network(std::string id);
  /// True if it is there now, and the only one of its name.
  Async<bool> create_network(std::string name);

  Env& env_;
  std::shared_ptr<Requests> requests_;
  Images images_;
  bool on_this_machine_;
  std::map<std::string, bool> terminals_;  // by id, of containers that were made here
};

Async<EngineInfo> DockerEngine::info() {
  Version version = co_await requests_->negotiate();
  EngineInfo info;
  info.name = "docker " + version.engine;
  parse_info(co_await requests_->call({.path = "/info", .what = "ask for the machine's size", .timeout = ping_timeout}),
             info);
  co_return info;
}

Async<> DockerEngine::probe() { return requests_->ping(); }

Async<bool> DockerEngine::has_image(std::string image) {
  std::optional<ImageInfo> found = co_await images_.inspect(std::move(image));
  co_return found.has_value();
}

Async<std::string> DockerEngine::create_container(ContainerSpec spec) {
  parse_image_reference(spec.image);
  std::string name = checked_id(spec.name);
  if (!spec.network_of.empty()) checked_id(spec.network_of);
  std::string what = fmt::format("create container {} of image {}", name, spec.image);
  net::IncomingResponse answer =
      co_await requests_->exchange({.method = net::Method::post,
                                    .path = "/containers/create?name=" + net::percent_encode(name),
                                    .what = what,
                                    .body = container_create_json(spec)});
  if (!is_success(answer.status)) throw creation_error(spec, answer, what);
  std::string id = checked_id(parse_id(answer.body));
  remember(id, spec.tty);
  co_return id;
}

void DockerEngine::remember(const std::string& id, bool terminal) {
  if (terminals_.size() >= containers_known_max) terminals_.erase(terminals_.begin());  // will be asked for
  terminals_[id] = terminal;
}

Async<bool> DockerEngine::has_terminal(std::string id) {
  if (auto known = terminals_.find(id); known != terminals_.end()) co_return known->second;
  ContainerState state = co_await inspect_container(std::move(id));
  co_return state.tty;
}

Async<std::shared_ptr<OutputStream>> DockerEngine::attach(std::string id) {
  id = checked_id(std::move(id));
  bool terminal = co_await has_terminal(id);
  std::exception_ptr failure;
  std::shared_ptr<net::RawStream> stream;
  try {
    stream = co_await requests_->take_over({.method = net::Method::post,
                                            .path = "/containers/" + id + "/attach?stream=1&stdout=1&stderr=1",
                                            .what = "attach to container " + short_id(id)});
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    // An upgrade that was refused does not say why in a form of ours; asking for the container does.
    if (!is_cancelled(failure)) co_await inspect_container(id);
    std::rethrow_exception(failure);
  }
  std::string what = "read the output of container " + short_id(id);
  co_return terminal ? raw_output(std::move(stream), what) : decode_frames(std::move(stream), what);
}

Async<> DockerEngine::start_container(std::string id) {
  id = checked_id(std::move(id));
  std::string what = "start container " + short_id(id);
  net::IncomingResponse answer =
      co_await requests_->exchange({.method = net::Method::post, .path = "/containers/" + id + "/start", .what = what});
  if (answer.status == 304) co_return;  // it runs already
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
}

Async<std::shared_ptr<OutputStream>> DockerEngine::logs(std::string id, bool follow) {
  id = checked_id(std::move(id));
  bool terminal = co_await has_terminal(id);
  std::string what = "read the log of container " + short_id(id);
  auto body = co_await requests_->open_body(
      {.path = fmt::format("/containers/{}/logs?stdout=1&stderr=1&follow={}", id, follow ? 1 : 0),
       .what = what,
       .timeout = follow ? follow_silence_timeout : call_timeout});
  co_return terminal ? raw_output(std::move(body), what) : decode_frames(std::move(body), what);
}

Async<int> DockerEngine::wait_container(std::string id) {
  id = checked_id(std::move(id));
  std::string what = "wait for container " + short_id(id);
  // "not-running" is true of an exit that has happened before the request, so asking again misses nothing.
  for (;;) {
    std::exception_ptr failure;
    std::string answer;
    try {
      answer = co_await requests_->call({.method = net::Method::post,
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
      co_await requests_->call({.path = "/containers/" + id + "/json", .what = "inspect container " + short_id(id)});
  co_return parse_container_state(answer);
}

Async<> DockerEngine::kill_container(std::string id, std::string signal) {
  id = checked_id(std::move(id));
  std::string what = fmt::format("send {} to container {}", signal, short_id(id));
  net::IncomingResponse answer =
      co_await requests_->exchange({.method = net::Method::post,
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
    net::IncomingResponse answer = co_await requests_->exchange(
        {.method = net::Method::delete_, .path = "/containers/" + id + "?force=1&v=1", .what = what});
    if (answer.status == 404 || is_success(answer.status)) break;
    // 409: somebody else's removal is under way; ours is over when the container is gone.
    if (answer.status != 409 || attempt == remove_attempts_max) {
      throw status_error(answer.status, answer.body, what);
    }
    co_await env_.sleep(delay);
    delay = std::min(delay * 2, remove_retry_delay_max);
  }
  terminals_.erase(id);
}

Async<std::shared_ptr<net::BodyReader>> DockerEngine::copy_out(std::string id, std::string path) {
  id = checked_id(std::move(id));
  co_return co_await requests_->open_body({.path = "/containers/" + id + "/archive?path=" + net::percent_encode(path),
                                           .what = fmt::format("copy {} out of container {}", path, short_id(id)),
                                           .timeout = archive_timeout});
}

Async<std::optional<OpenFile>> DockerEngine::open_file(std::string id, std::string path) {
  if (!on_this_machine_) co_return std::nullopt;
  id = checked_id(std::move(id));
  std::string body =
      co_await requests_->call({.path = "/containers/" + id + "/json", .what = "inspect container " + short_id(id)});
  StoredRoot root = parse_stored_root(body);
  std::string below = path_in_root(root, path);
  if (root.running || root.upper.empty() || below.empty()) co_return std::nullopt;
  StoredFile stored = co_await env_.blocking([upper = root.upper, below] { return open_stored_file(upper, below); });
  if (!stored.file) co_return std::nullopt;
  co_return OpenFile{net::file_body(env_, std::move(stored.file), 0, stored.bytes, path), stored.bytes};
}

Async<> DockerEngine::copy_in(std::string id, std::string directory, std::shared_ptr<net::BodyReader> tar,
                              std::int64_t bytes) {
  id = checked_id(std::move(id));
  co_await requests_->call({.method = net::Method::put,
                            .path = "/containers/" + id + "/archive?path=" + net::percent_encode(directory),
                            .what = fmt::format("copy into {} of container {}", directory, short_id(id)),
                            .timeout = copy_in_timeout,
                            .archive = std::move(tar),
                            .archive_bytes = bytes});
}

Async<std::shared_ptr<ExecSession>> DockerEngine::exec(std::string id, ExecSpec spec) {
  return start_exec(requests_, checked_id(std::move(id)), std::move(spec));
}

Async<> DockerEngine::create_volume(std::string name, std::map<std::string, std::string> labels) {
  checked_id(name, "volume");
  co_await requests_->call({.method = net::Method::post,
                            .path = "/volumes/create",
                            .what = "create volume " + name,
                            .body = volume_create_json(name, labels)});
}

Async<> DockerEngine::remove_volume(std::string name) {
  checked_id(name, "volume");
  std::string what = "remove volume " + name;
  net::IncomingResponse answer = co_await requests_->exchange(
      {.method = net::Method::delete_, .path = "/volumes/" + name, .what = what, .timeout = removal_timeout});
  if (answer.status == 404 || is_success(answer.status)) co_return;
  throw status_error(answer.status, answer.body, what);
}

Async<std::vector<VolumeInfo>> DockerEngine::list_volumes(std::string label, std::string value) {
  std::string filters = filters_json("label", label + "=" + value);
  co_return parse_volume_list(co_await requests_->call({.path = "/volumes?filters=" + net::percent_encode(filters),
                                                        .what = fmt::format("list volumes with {}={}", label, value),
                                                        .body_bytes_max = list_bytes_max}));
}

Async<std::vector<ContainerSummary>> DockerEngine::list_containers(std::string label, std::string value) {
  std::string filters = filters_json("label", label + "=" + value);
  std::string answer =
      co_await requests_->call({.path = "/containers/json?all=1&filters=" + net::percent_encode(filters),
                                .what = fmt::format("list containers with {}={}", label, value),
                                .body_bytes_max = list_bytes_max});
  co_return parse_container_list(answer);
}

Async<std::vector<Network>> DockerEngine::networks_named(std::string name) {
  // The engine's filter also finds names that contain this one.
  std::string filters = filters_json("name", name);
  std::vector<Network> networks = parse_networks(co_await requests_->call(
      {.path = "/networks?filters=" + net::percent_encode(filters), .what = "look for network " + name}));
  std::erase_if(networks, [&](const Network& network) { return network.name != name; });
  co_return networks;
}

Async<> DockerEngine::remove_network(std::string id) {
  std::string what = "remove network " + short_id(id);
  net::IncomingResponse answer = co_await requests_->exchange(
      {.method = net::Method::delete_, .path = "/networks/" + net::percent_encode(id), .what = what});
  if (answer.status == 404 || is_success(answer.status)) co_return;
  throw status_error(answer.status, answer.body, what);
}

Async<bool> DockerEngine::create_network(std::string name) {
  std::string what = "create network " + name;
  net::IncomingResponse answer = co_await requests_->exchange(
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
  checked_id(name, "network");
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

Async<NetworkInfo> DockerEngine::network_info(std::string name) {
  checked_id(name, "network");
  co_return parse_network_info(
      co_await requests_->call({.path = "/networks/" + name, .what = "ask for network " + name}));
}

}  // namespace

}  // namespace docker

namespace {

std::unique_ptr<Engine> engine_at(Env& env, const net::Endpoint& endpoint) {
  auto requests = std::make_shared<docker::Requests>(env, net::make_http_client(env, endpoint),
                                                     net::make_http_client(env, endpoint, 0));
  bool on_this_machine = endpoint.kind != net::Endpoint::Kind::tcp;
  return std::make_unique<docker::DockerEngine>(env, std::move(requests), on_this_machine);
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::unique_ptr<Engine> make_docker_engine(Env& env, std::string url) {
  bool over_tls = url.starts_with("tcp://") && !variable("DOCKER_TLS_VERIFY").empty();
  if (!over_tls) return engine_at(env, value_or_throw(net::parse_endpoint(url)));
  std::string directory = variable("DOCKER_CERT_PATH");
  return make_docker_engine(env, std::move(url), directory.empty() ? variable("HOME") + "/.docker" : directory);
}

std::unique_ptr<Engine> make_docker_engine(Env& env, std::string url, std::string certificate_directory) {
  net::Endpoint endpoint = value_or_throw(net::parse_endpoint(url));
  if (endpoint.kind != net::Endpoint::Kind::tcp) {
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" cannot be reached with TLS", url),
                "write tcp://host:2376, or leave the certificates out");
  }
  endpoint.tls = true;
  endpoint.tls_files = {certificate_directory + "/ca.pem", certificate_directory + "/cert.pem",
                        certificate_directory + "/key.pem"};
  return engine_at(env, endpoint);
}

std::unique_ptr<Engine> make_docker_engine(Env& env, std::shared_ptr<net::Transport> transport) {
  return std::make_unique<docker::DockerEngine>(env, std::make_shared<docker::Requests>(env, transport, transport),
                                                false);
}

}  // namespace gantry::engine
