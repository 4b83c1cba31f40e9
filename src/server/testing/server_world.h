// For tests: a whole server on a virtual clock, its store in memory and its objects in a directory of its own. Requests
// go to handle() as they would come from a connection, signed with Hawk.
#pragma once

#include <filesystem>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/testing/fake_env.h"
#include "object/file_store.h"
#include "server/server.h"
#include "store/memory/memory_store.h"
#include "wire/hawk.h"
#include "wire/testing/definitions.h"

namespace gantry::server {

inline const wire::HawkCredentials root_credentials{"root", "root-token", ""};

/// A response with its body read.
struct Answer {
  int status = 0;
  std::string text;
  net::Headers headers;
  std::function<void()> undelivered{};

  json::value json() const { return value_or_throw(parse_json(text)); }
  /// The member at a JSON pointer, as text.
  std::string at(std::string_view pointer) const {
    json::value document = json();
    boost::system::error_code error;
    const json::value* found = document.find_pointer(pointer, error);
    if (!found) return "(no " + std::string(pointer) + " in " + text + ")";
    return found->is_string() ? std::string(found->get_string()) : json::serialize(*found);
  }
};

/// A client that can go away.
class FakePeer : public net::PeerWatch {
 public:
  void on_gone(std::function<void()> gone) override { gone_ = std::move(gone); }
  void leave() {
    if (auto gone = std::exchange(gone_, nullptr)) gone();
  }

 private:
  std::function<void()> gone_;
};

/// One request.
struct Ask {
  net::Method method = net::Method::get;
  std::string target{};
  std::string body{};
  const wire::HawkCredentials* as = &root_credentials;  // null: anonymous
  std::vector<std::pair<std::string, std::string>> headers{};
  std::shared_ptr<net::PeerWatch> peer{};
  bool loopback = false;
  std::vector<std::string> authorized_scopes{};
};

class ServerWorld {
 public:
  ServerWorld() {
    char name[] = "/tmp/gantry-server-test-XXXXXX";
    if (!::mkdtemp(name)) throw std::runtime_error("cannot make a directory for the test");
    directory_ = name;
    objects = object::make_file_store(env, directory_ + "/objects");
    start();
  }
  ServerWorld(const ServerWorld&) = delete;
  ServerWorld& operator=(const ServerWorld&) = delete;
  ~ServerWorld() {
    stop();
    objects.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void start() {
    ServerSettings settings;
    settings.root = {root_credentials.client_id, root_credentials.access_token};
    settings.seal_keys = seal_keys;
    settings.seal_key_source = "secret.key";
    settings.log_directory = directory_ + "/logs";
    if (adjust) adjust(settings);
    server = std::make_unique<Server>(env, settings, [this] { return open_store(); }, objects.get());
    server->start();
  }
  void stop() {
    if (!server) return;
    env.run(server->stop());
    server.reset();
  }
  void restart() {
    stop();
    start();
  }

  std::shared_ptr<FakeEnv::Running<Answer>> begin(Ask call) {
    return env.start(exchange(*server, request_of(std::move(call))));
  }
  Answer send(Ask call) { return env.finish(begin(std::move(call))); }
  /// The response itself, for a stream that is read piece by piece.
  net::Response open(Ask call) { return env.run(server->handle(request_of(std::move(call)))); }
  Answer get(std::string target) { return send({.target = std::move(target)}); }
  Answer post(std::string target, std::string body = "{}", const wire::HawkCredentials* as = &root_credentials) {
    return send({.method = net::Method::post, .target = std::move(target), .body = std::move(body), .as = as});
  }

  /// A fresh task in queue prov/queue.
  TaskId create() { return create(wire::task_json(env.now())); }
  TaskId create(const json::object& definition) {
    TaskId id = TaskId::random(env);
    Answer answer = put_task(id, definition);
    EXPECT_EQ(answer.status, 200) << answer.text;
    return id;
  }
  Answer put_task(TaskId id, const json::object& definition) {
    return send({.method = net::Method::put, .target = task_path(id), .body = wire::text_of(definition)});
  }
  static std::string task_path(TaskId id) { return "/api/queue/v1/task/" + id.to_string(); }
  static std::string run_path(TaskId id, int run = 0) { return task_path(id) + "/runs/" + std::to_string(run); }
  static std::string native_path(TaskId id, int run = 0) {
    return "/v1/tasks/" + id.to_string() + "/runs/" + std::to_string(run);
  }

  Ask claim_call(int tasks = 1) {
    return {.method = net::Method::post,
            .target = "/api/queue/v1/claim-work/prov%2Fqueue",
            .body = "{\"workerGroup\":\"group\",\"workerId\":\"worker\",\"tasks\":" + std::to_string(tasks) + "}"};
  }
  /// Claims one task, which there must be, and returns the credentials of its run.
  wire::HawkCredentials claim(TaskId id) {
    Answer answer = send(claim_call());
    EXPECT_EQ(answer.at("/tasks/0/status/taskId"), id.to_string()) << answer.text;
    return credentials_in(answer, "/tasks/0");
  }
  static wire::HawkCredentials credentials_in(const Answer& answer, std::string place) {
    return {answer.at(place + "/credentials/clientId"), answer.at(place + "/credentials/accessToken"),
            answer.at(place + "/credentials/certificate")};
  }
  /// A task that is running, with the credentials of its run.
  std::pair<TaskId, wire::HawkCredentials> running() {
    TaskId id = create();
    return {id, claim(id)};
  }
  /// "exception claim-expired, pending": the runs as the API shows them.
  std::string runs(TaskId id) {
    Answer answer = get(task_path(id) + "/status");
    if (answer.status != 200) return answer.text;
    std::string text;
    for (const auto& run : answer.json().at("status").at("runs").as_array()) {
      if (!text.empty()) text += ", ";
      text += run.at("state").as_string();
      if (run.as_object().contains("reasonResolved")) text += " " + std::string(run.at("reasonResolved").as_string());
    }
    return text;
  }

  FakeEnv env;
  std::shared_ptr<store::MemoryStore::Disk> disk = std::make_shared<store::MemoryStore::Disk>();
  std::weak_ptr<store::MemoryStore> store;
  std::unique_ptr<object::ObjectStore> objects;
  std::unique_ptr<Server> server;
  auth::SealKeys seal_keys{auth::make_seal_key({})};
  /// Changes the settings of the next start().
  std::function<void(ServerSettings&)> adjust;
  /// How long a write to the disk takes.
  Duration write_time = milliseconds(1);

 private:
  std::shared_ptr<store::Store> open_store() {
    auto opened = std::make_shared<store::MemoryStore>(
        disk, [this](std::move_only_function<void()> work) { env.call_after(write_time, std::move(work)); });
    store = opened;
    return opened;
  }

  net::Request request_of(Ask call) {
    net::Request request;
    request.method = call.method;
    request.target = call.target;
    request.headers.add("host", "gantry.test");
    if (call.as) {
      wire::HawkSigner signer(*call.as, call.authorized_scopes);
      wire::HawkTarget target{net::method_name(call.method), call.target, "gantry.test", 80};
      request.headers.add("authorization", signer.header(target, env.now(), "nonce"));
    }
    if (!call.body.empty()) request.headers.add("content-type", "application/json");
    for (auto& [name, value] : call.headers) request.headers.set(name, value);
    request.content_length = static_cast<std::int64_t>(call.body.size());
    request.body = std::make_shared<net::StringBody>(std::move(call.body));
    request.peer_watch = call.peer;
    request.peer_is_loopback = call.loopback;
    return request;
  }

  static Async<Answer> exchange(Server& server, net::Request request) {
    net::Response response = co_await server.handle(std::move(request));
    Answer answer{response.status, std::move(response.body), std::move(response.headers),
                  std::move(response.undelivered)};
    if (response.stream) answer.text = co_await net::read_all(*response.stream, 64u << 20);
    co_return answer;
  }

  std::string directory_;
};

}  // namespace gantry::server
