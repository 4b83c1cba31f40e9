// For tests of whole runs: an engine whose containers end as they are told, and a server that takes the report.
#pragma once

#include <gtest/gtest.h>

#include "agent/caches.h"
#include "agent/images/image_store.h"
#include "agent/task/task_run.h"
#include "agent/testing/agent_world.h"
#include "base/log.h"

namespace gantry::agent {

/// Its container ends at once, with `ends_with`.
class RunEngine : public FakeEngine {
 public:
  int ends_with = 0;
  bool image_is_there = true;
  bool removal_fails = false;
  std::optional<engine::ContainerSpec> created;
  std::vector<std::string> calls;
  std::string archive;  // of whatever is asked for

  Async<bool> has_image(std::string) override { co_return image_is_there; }
  Async<> pull_image(std::string, std::optional<engine::RegistryLogin>, std::function<void(std::string)>) override {
    throw Error(ErrorCode::not_found, "no such image");
  }
  Async<std::string> create_container(engine::ContainerSpec spec) override {
    created = std::move(spec);
    co_return "c";
  }
  Async<std::shared_ptr<engine::OutputStream>> attach(std::string) override {
    auto output = std::make_shared<FakeOutput>();
    output->end();
    co_return output;
  }
  Async<> start_container(std::string) override {
    calls.push_back("start");
    exit(ends_with);
    co_return;
  }
  Async<std::shared_ptr<net::BodyReader>> copy_out(std::string, std::string) override {
    co_return std::make_shared<net::StringBody>(archive);
  }
  Async<std::optional<engine::OpenFile>> open_file(std::string, std::string path) override {
    if (path != "/stored") co_return std::nullopt;
    co_return engine::OpenFile{std::make_shared<net::StringBody>("stored"), 6};
  }
  Async<> remove_container(std::string) override {
    calls.push_back("remove");
    if (removal_fails) throw Error(ErrorCode::unavailable, "device is busy");
    co_return;
  }
};

/// A run's surroundings; the engine may be one of a test's own.
template <class TestEngine>
struct RunWorld : testing::Test {
  RunWorld() {
    set_log_sink([](LogLevel, std::string_view) {});
    settings.agent_id = "agent";
    settings.task_queue = "prov/type";
    settings.spool_directory = directory.file("");
    settings.log_bytes_max = 1 << 20;
    settings.engine_away = [] {};
    settings.images = &images;
    settings.caches = &caches;
    settings.side_directory = directory.file("side");
    server->answer = [this](const net::OutgoingRequest& request) { return answer(request); };
  }
  ~RunWorld() override {
    env.run(images.stop());
    set_log_sink({});
  }

  std::optional<net::IncomingResponse> answer(const net::OutgoingRequest& request) {
    net::IncomingResponse response;
    response.status = 200;
    if (request.target.find("/purge-cache/") != std::string::npos) {
      response.body = R"({"requests":[]})";
      return response;
    }
    if (request.target == "/api/auth/v1/scopes/current") {
      ++scope_requests;
      if (scope_failures-- > 0) response.status = 503;
      response.body = scopes;
      return response;
    }
    if (request.method == net::Method::put) {
      std::string name = request.target.substr(request.target.rfind('/') + 1);
      uploads.push_back(name);
      uploaded_bytes.push_back(request.stream_bytes);
      if (name == failing_upload) response.status = 503;
      failing_upload = name == failing_upload ? "" : failing_upload;
      return response;
    }
    if (request.target.find("/artifacts/") != std::string::npos) {
      response.body = json::serialize(json::object{{"putUrl", api.root_url() + "/put" + request.target}});
      return response;
    }
    if (auto more = more_answers ? more_answers(request) : std::nullopt) return more;
    if (!request.target.ends_with("/report")) return std::nullopt;
    report = value_or_throw(parse_json(request.body));
    response.body = "{}";
    return response;
  }

  /// Runs a task with this payload to its end; how it was reported.
  std::string run(json::object changes) {
    ClaimedRun claim;
    claim.run = {TaskId::random(env), 0};
    task = claim.run.task;
    claim.taken_until = env.now() + hours(1);
    claim.expires = env.now() + hours(2);
    json::object payload{{"image", "x"}, {"maxRunTime", 60}};
    for (auto& member : changes) payload[member.key()] = member.value();
    claim.payload = payload;
    claim.credentials = {"run", "secret", ""};
    server->log.clear();
    TaskRun run(env, engine, api, settings, claim, "");
    env.run(run.run());
    return std::string(report.at("reason").as_string());
  }

  bool logged(std::string_view text) const { return server->log.find(text) != std::string::npos; }

  FakeEnv env;
  TemporaryDirectory directory;
  std::shared_ptr<LogServer> server = std::make_shared<LogServer>();
  ServerApi api{env, server, "server", 80};
  TestEngine engine;
  ImageStore images{env, engine, {directory.file("images"), {}}};
  RunSettings settings;
  CacheStore caches{env, engine, api, {"agent", "prov/type", directory.file("caches.json")}};
  json::value report;
  std::string scopes = R"({"scopes":[]})";
  int scope_requests = 0;
  int scope_failures = 0;
  std::function<std::optional<net::IncomingResponse>(const net::OutgoingRequest&)> more_answers;
  TaskId task;                       // of the last run
  std::vector<std::string> uploads;  // names, in the order of their requests
  std::vector<std::int64_t> uploaded_bytes;
  std::string failing_upload;  // once
};

using TaskRunTest = RunWorld<RunEngine>;

}  // namespace gantry::agent
