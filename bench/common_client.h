// Requests and engine calls from a benchmark, one after another or several coroutines at once, on a loop of its own.
#pragma once

#include <cmath>
#include <functional>

#include <boost/asio/io_context.hpp>

#include "agent/server_api.h"
#include "agent/task/task_run.h"
#include "base/env.h"
#include "bench/common_server.h"
#include "engine/docker/docker_engine.h"
#include "net/http_client.h"

namespace gantry::bench {

inline constexpr const char* example_image = "gantry/example:1";

class Loop {
 public:
  Loop() : env_(io_) {}

  Env& env() { return env_; }

  /// Runs the work to its end; ends the program with its error.
  void run(Async<> work) { run_all(one(std::move(work))); }
  void run_all(std::vector<Async<>> works) {
    Scope scope(env_.executor(), "bench");
    std::optional<Error> failed;
    for (auto& work : works) scope.spawn("work", guard(std::move(work), failed));
    while (scope.size() > 0 && !failed) io_.run_one();
    if (!failed) return;
    fmt::print(stderr, "{}\n{}\n", failed->message(), failed->hint());
    std::_Exit(1);
  }

 private:
  static std::vector<Async<>> one(Async<> work) {
    std::vector<Async<>> works;
    works.push_back(std::move(work));
    return works;
  }
  static Async<> guard(Async<> work, std::optional<Error>& failed) {
    std::exception_ptr failure;
    try {
      co_await std::move(work);
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) failed = error_of(failure);
  }

  asio::io_context io_;
  SystemEnv env_;
  asio::executor_work_guard<Executor> work_ = asio::make_work_guard(io_);
};

/// The API of one DevServer as its root.
class Client {
 public:
  Client(Env& env, const DevServer& server)
      : env_(env),
        transport_(net::make_http_client(env, value_or_throw(net::parse_endpoint(server.url())), connections_max)),
        host_(server.host()),
        port_(server.port()),
        api_(env, transport_, host_, port_),
        signer_(std::make_shared<const wire::HawkSigner>(server.credentials())) {}

  Async<json::value> call(net::Method method, std::string target, std::string body = {}) {
    std::string answer = co_await api_.call(signer_, method, target, body, "application/json", seconds(40));
    co_return value_or_throw(parse_json(answer));
  }

  /// A signed GET whose body is still coming.
  Async<std::shared_ptr<net::BodyReader>> open(std::string target) {
    net::OutgoingRequest request;
    request.target = target;
    wire::HawkTarget signed_target{"GET", target, host_, port_};
    request.headers.add("authorization", signer_->header(signed_target, env_.now(), wire::hawk_nonce(env_)));
    request.timeout = minutes(2);
    net::OpenResponse response = co_await transport_->open(std::move(request));
    if (response.head.status != 200) {
      throw Error(ErrorCode::internal, fmt::format("{} was answered with {}", target, response.head.status));
    }
    co_return response.body;
  }

  /// Creates a task on the native queue; returns its id once that is answered. `artifact`: a file of the container that
  /// is uploaded at the end, if not empty.
  Async<TaskId> create(std::vector<std::string> command, std::string artifact = {},
                       std::string queue = "local/default") {
    TaskId id = TaskId::random(env_);
    std::string body;
    JsonWriter out(body);
    Time now = env_.now();
    out.begin_object().field("taskQueueId", queue).field("created", now).field("deadline", now + hours(1));
    out.key("metadata").begin_object().field("name", "bench").field("description", "bench");
    out.field("owner", "bench@example.com").field("source", "https://example.com/bench").end_object();
    out.key("payload")
        .begin_object()
        .field("image", example_image)
        .field("maxRunTime", 600)
        .key("command")
        .begin_array();
    for (const auto& word : command) out.string(word);
    out.end_array();
    if (!artifact.empty()) {
      out.key("artifacts").begin_object().key("public/file").begin_object();
      out.field("type", "file").field("path", artifact).end_object().end_object();
    }
    out.end_object().end_object();
    co_await call(net::Method::put, "/api/queue/v1/task/" + id.to_string(), body);
    co_return id;
  }

  /// The task as /v1 shows it, once it is resolved.
  Async<json::value> resolved(TaskId id) {
    for (;;) {
      json::value task = co_await call(net::Method::get, fmt::format("/v1/tasks/{}?wait=20s", id.to_string()));
      std::string_view state = task.at("state").as_string();
      if (state != "pending" && state != "running" && state != "unscheduled") co_return task;
    }
  }

 private:
  static constexpr std::size_t connections_max = 256;

  Env& env_;
  std::shared_ptr<net::Transport> transport_;
  std::string host_;
  std::uint16_t port_;
  agent::ServerApi api_;
  agent::Signer signer_;
};

inline std::string engine_url() {
  const char* host = std::getenv("DOCKER_HOST");
  return host && *host ? host : "unix:///var/run/docker.sock";
}

/// The node id of the server's agent: the label of its containers.
inline std::string agent_id(const DevServer& server) {
  std::string id;
  std::ifstream(server.directory() + "/agent/agent-id") >> id;
  return id;
}

/// When a step of the task's first run was, from its timeline.
inline std::optional<Time> step_time(const json::value& task, std::string_view step) {
  for (const auto& entry : task.at("runs").as_array().at(0).at("timeline").as_array()) {
    if (entry.at("step").as_string() == step) return parse_time(entry.at("at").as_string());
  }
  return std::nullopt;
}

inline double percentile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  auto at = static_cast<std::size_t>(std::lround(part * static_cast<double>(values.size() - 1)));
  return values.at(at);
}

}  // namespace gantry::bench
