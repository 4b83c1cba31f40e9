// For the tests of engine/docker against a real Docker: an image made from the machine's busybox
// (scripts/lib/busybox-image.sh), and containers that carry the test's label and are removed at its end.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "engine/docker/docker_engine.h"
#include "engine/docker/docker_json.h"
#include "engine/tar_reader.h"
#include "engine/test_loop.h"
#include "net/http_client.h"

namespace gantry::engine {

inline constexpr std::size_t output_bytes_max = 64u << 20;

inline const std::string image = "gantry-test-busybox:1";
inline const std::string label = "gantry.test";

inline std::string engine_url() {
  const char* host = std::getenv("DOCKER_HOST");
  return host && *host ? host : "unix:///var/run/docker.sock";
}

inline std::string words(const std::exception_ptr& failure) { return failure ? error_of(failure).message() : ""; }

struct Finished {
  std::string id;
  std::string output;
  int exit_code = -1;
};

/// Both streams as they came, to the end.
inline Async<std::string> read_merged(std::shared_ptr<OutputStream> output) {
  std::string all;
  for (;;) {
    Output piece = co_await output->read();
    if (piece.bytes.empty()) co_return all;
    all += piece.bytes;
    if (all.size() > output_bytes_max) throw Error(ErrorCode::too_large, "more output than expected");
  }
}

/// The five requests of a task, but for the last.
inline Async<Finished> run_to_end(Engine& engine, ContainerSpec spec) {
  Finished finished;
  finished.id = co_await engine.create_container(std::move(spec));
  auto output = co_await engine.attach(finished.id);
  co_await engine.start_container(finished.id);
  finished.output = co_await read_merged(output);
  finished.exit_code = co_await engine.wait_container(finished.id);
  co_return finished;
}

/// Reads until `text` is there; the stream must not end before.
inline Async<std::string> read_until(std::shared_ptr<OutputStream> output, std::string text) {
  std::string all;
  while (all.find(text) == std::string::npos) {
    Output piece = co_await output->read();
    if (piece.bytes.empty()) throw Error(ErrorCode::internal, "the output ended with: " + all);
    all += piece.bytes;
  }
  co_return all;
}

struct Copied {
  TarEntry entry;
  std::string content;
};

inline Async<std::vector<Copied>> copy_all(Engine& engine, std::string id, std::string path) {
  auto archive = co_await engine.copy_out(id, path);
  TarReader reader(archive);
  std::vector<Copied> all;
  while (auto entry = co_await reader.next()) {
    std::string content;
    while (true) {
      std::string piece = co_await reader.read_some();
      if (piece.empty()) break;
      content += piece;
    }
    all.push_back({std::move(*entry), std::move(content)});
  }
  co_return all;
}

class EngineDockerTest : public testing::Test {
 public:
  static void SetUpTestSuite() {
    std::string script = std::string(GANTRY_SOURCE_DIR) + "/scripts/lib/busybox-image.sh " + image;
    ASSERT_EQ(std::system(script.c_str()), 0) << "the test's image could not be made; is Docker running?";
  }

 protected:
  EngineDockerTest() : engine_(make_docker_engine(loop_.env(), engine_url())) {
    run_id_ = SlugId<EngineDockerTest>::random(loop_.env()).to_string();
  }
  ~EngineDockerTest() override {
    for (const auto& container : loop_.run(engine_->list_containers(label, run_id_))) {
      loop_.run(engine_->remove_container(container.id));
    }
    EXPECT_TRUE(loop_.run(engine_->list_containers(label, run_id_)).empty());
    // By id: should a test fail with two networks of one name, the name alone would delete neither.
    for (const auto& network : docker::parse_networks(raw(net::Method::get, "/networks").body)) {
      if (network.name == network_) raw(net::Method::delete_, "/networks/" + network.id);
    }
  }

  ContainerSpec spec(std::vector<std::string> command) {
    ContainerSpec spec;
    spec.name = fmt::format("gantry-test-{}-{}", run_id_, ++containers_);
    spec.image = image;
    spec.command = std::move(command);
    spec.labels = {{label, run_id_}};
    spec.network = "none";  // networks cost time
    return spec;
  }
  ContainerSpec shell(std::string script) { return spec({"sh", "-c", std::move(script)}); }
  Finished run(ContainerSpec spec) { return loop_.run(run_to_end(*engine_, std::move(spec))); }
  std::string start(ContainerSpec spec) {
    std::string id = loop_.run(engine_->create_container(std::move(spec)));
    loop_.run(engine_->start_container(id));
    return id;
  }
  template <class T>
  ErrorCode error_of(Async<T> work) {
    auto error = loop_.error_of_running(std::move(work));
    if (!error) {
      ADD_FAILURE() << "no error";
      return ErrorCode::internal;
    }
    std::string text = fmt::format("{} [{}] {}", error->message(), error_code_name(error->code()), error->hint());
    last_error_ = text;
    return error->code();
  }
  /// A request past the engine's interface.
  net::IncomingResponse raw(net::Method method, std::string target) {
    auto transport = net::make_http_client(loop_.env(), value_or_throw(net::parse_endpoint(engine_url())));
    net::OutgoingRequest request;
    request.method = method;
    request.target = std::move(target);
    return loop_.run(transport->exchange(std::move(request)));
  }

  TestLoop loop_;
  std::unique_ptr<Engine> engine_;
  std::string run_id_;
  std::string network_;
  std::string last_error_;
  int containers_ = 0;
};

}  // namespace gantry::engine
