// For tests of the agent: a virtual clock, an engine that does as it is told, a server that keeps logs.
#pragma once

#include <charconv>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>
#include <unistd.h>

#include "agent/task/container_watch.h"
#include "agent/task/run_log.h"
#include "base/testing/fake_env.h"
#include "net/http.h"

namespace gantry::agent {

/// A directory that goes away with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "gantry-agent-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A server that answers whole requests only.
class AnsweringServer : public net::Transport {
 public:
  Async<net::OpenResponse> open(net::OutgoingRequest) override { throw Error(ErrorCode::unsupported, "open"); }
  Async<std::shared_ptr<net::RawStream>> upgrade(net::OutgoingRequest, std::string) override {
    throw Error(ErrorCode::unsupported, "upgrade");
  }
};

/// The server's side of a live log; `answer` may take over for a request.
class LogServer : public AnsweringServer {
 public:
  std::string log;
  int requests = 0;
  std::function<std::optional<net::IncomingResponse>(const net::OutgoingRequest&)> answer;

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    ++requests;
    if (answer) {
      if (auto response = answer(request)) co_return *response;
    }
    std::string_view query(request.target);
    query.remove_prefix(query.find("offset=") + 7);
    std::size_t offset = 0;
    std::from_chars(query.data(), query.data() + query.size(), offset);
    net::IncomingResponse response;
    response.status = offset > log.size() ? 409 : 200;
    if (response.status == 200) {
      std::size_t known = log.size() - offset;
      if (known < request.body.size()) log += request.body.substr(known);
      response.body = fmt::format("{{\"bytes\":{}}}", log.size());
    }
    co_return response;
  }
};

/// Output that a test writes piece by piece.
class FakeOutput : public engine::OutputStream {
 public:
  void write(int stream, std::string bytes) {
    pieces_.push_back({stream, std::move(bytes)});
    news_.notify_all();
  }
  void end() { write(1, ""); }
  void break_off() {
    broken_ = true;
    news_.notify_all();
  }
  Async<engine::Output> read() override {
    while (pieces_.empty()) {
      if (broken_) throw Error(ErrorCode::unavailable, "the stream broke off");
      co_await news_.wait();
    }
    engine::Output piece = std::move(pieces_.front());
    pieces_.pop_front();
    co_return piece;
  }

 private:
  std::deque<engine::Output> pieces_;
  Event news_;
  bool broken_ = false;
};

/// One container. `away`: nothing answers; `stopping`: no new connections.
class FakeEngine : public engine::Engine {
 public:
  bool away = false;
  bool stopping = false;
  std::optional<int> exit_code;
  std::shared_ptr<FakeOutput> followed = std::make_shared<FakeOutput>();
  std::string stored;                                // what a log that is not followed has, all on stream 1
  std::vector<engine::ContainerSummary> containers;  // that are listed, whatever their labels
  std::map<std::string, engine::VolumeInfo> volumes;
  std::set<std::string> mounted;                                // volumes that cannot be removed
  std::function<void(const std::string&)> create_volume_fails;  // throws, after the volume has been made

  void exit(int code) {
    exit_code = code;
    changed.notify_all();
  }
  void go_away() {
    away = true;
    changed.notify_all();
  }

  Async<engine::EngineInfo> info() override {
    check();
    co_return engine::EngineInfo();
  }
  Async<> probe() override {
    check();
    if (stopping) throw Error(ErrorCode::unavailable, "connection refused");
    co_return;
  }
  Async<int> wait_container(std::string) override {
    check();
    while (!exit_code) {
      co_await changed.wait();
      check();
    }
    co_return *exit_code;
  }
  Async<engine::ContainerState> inspect_container(std::string) override {
    check();
    engine::ContainerState state;
    state.running = !exit_code;
    co_return state;
  }
  Async<std::shared_ptr<engine::OutputStream>> logs(std::string, bool follow) override {
    check();
    if (follow) co_return followed;
    auto output = std::make_shared<FakeOutput>();
    if (!stored.empty()) output->write(1, stored);
    output->end();
    co_return output;
  }

  Async<bool> has_image(std::string) override { co_return true; }
  Async<> pull_image(std::string, std::optional<engine::RegistryLogin>, std::function<void(std::string)>) override {
    co_return;
  }
  Async<std::string> create_container(engine::ContainerSpec) override { co_return "c"; }
  Async<std::shared_ptr<engine::OutputStream>> attach(std::string) override { co_return nullptr; }
  Async<> start_container(std::string) override { co_return; }
  Async<> kill_container(std::string, std::string) override { co_return; }
  Async<> remove_container(std::string) override { co_return; }
  Async<std::shared_ptr<net::BodyReader>> copy_out(std::string, std::string) override { co_return nullptr; }
  Async<std::vector<engine::ContainerSummary>> list_containers(std::string, std::string) override {
    check();
    co_return containers;
  }
  Async<> create_volume(std::string name, std::map<std::string, std::string> labels) override {
    check();
    volumes.try_emplace(name, engine::VolumeInfo{name, std::move(labels), {}});
    if (create_volume_fails) create_volume_fails(name);
    co_return;
  }
  Async<> remove_volume(std::string name) override {
    check();
    if (mounted.contains(name)) throw Error(ErrorCode::conflict, "volume is in use");
    volumes.erase(name);
    co_return;
  }
  Async<std::vector<engine::VolumeInfo>> list_volumes(std::string label, std::string value) override {
    check();
    std::vector<engine::VolumeInfo> found;
    for (const auto& [name, volume] : volumes) {
      auto carried = volume.labels.find(label);
      if (carried != volume.labels.end() && carried->second == value) found.push_back(volume);
    }
    co_return found;
  }
  Async<> ensure_network(std::string) override { co_return; }

 private:
  void check() const {
    if (away) throw Error(ErrorCode::unavailable, "the engine is away");
  }
  Event changed;
};

/// A run's log with a server to send it to.
struct LogWorld {
  FakeEnv env;
  TemporaryDirectory directory;
  std::shared_ptr<LogServer> server = std::make_shared<LogServer>();
  ServerApi api{env, server, "server", 80};
  wire::RunRef run{TaskId::random(env), 0};
  Scope scope{env.executor(), "test"};
  RunLog log = open();

  RunLog open(const std::string& file = "spool") {
    return RunLog(env, api, run, directory.file(file), [] { return Signer(); });
  }
  ~LogWorld() {
    scope.cancel();
    env.run(scope.join());
  }
};

}  // namespace gantry::agent
