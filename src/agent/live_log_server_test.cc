#include "agent/live_log_server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/task/run_log.h"
#include "agent/testing/agent_world.h"
#include "net/http_client.h"

namespace gantry::agent {
namespace {

struct LiveLogServerTest : testing::Test {
  asio::io_context io{1};
  SystemEnv env{io, 1};
  TemporaryDirectory directory;
  std::shared_ptr<LogServer> server = std::make_shared<LogServer>();
  ServerApi api{env, server, "server", 80};
  wire::RunRef run{TaskId::random(env), 0};
  RunLog log{env, api, run, directory.file("spool"), [] { return nullptr; }};
  LiveLogServer logs{env, "127.0.0.1:0", nullptr};
  std::shared_ptr<net::Transport> client =
      net::make_http_client(env, value_or_throw(net::parse_endpoint(fmt::format("http://127.0.0.1:{}", logs.port()))));

  Async<> guard(Async<> test) {
    try {
      co_await std::move(test);
    } catch (const Error& error) {
      ADD_FAILURE() << error.message();
    }
    co_await logs.hide(run);
    co_await logs.stop();
    io.stop();
  }
  void play(Async<> test) {
    Scope scope(io.get_executor(), "test");
    scope.spawn("body", guard(std::move(test)));
    io.run();
    io.restart();
    io.poll();
  }
  Async<int> status_of(net::Method method, std::string target) {
    net::OutgoingRequest request;
    request.method = method;
    request.target = std::move(target);
    net::IncomingResponse response = co_await client->exchange(std::move(request));
    co_return response.status;
  }
  Async<> refusals() {
    std::string path = logs.show(run, log);
    logs.finish(run);
    int good = co_await status_of(net::Method::get, path);
    int other = co_await status_of(net::Method::get, path.substr(0, path.size() - 1));
    int elsewhere = co_await status_of(net::Method::get, "/");
    int put = co_await status_of(net::Method::put, path);
    EXPECT_EQ(std::vector({good, other, elsewhere, put}), std::vector({200, 401, 404, 405}));
    co_await logs.hide(run);
    int later = co_await status_of(net::Method::get, path);
    EXPECT_EQ(later, 401);
  }
  Async<> follow() {
    co_await log.write(1, "first ");
    std::string path = logs.show(run, log);
    net::OutgoingRequest request;
    request.target = path;
    net::OpenResponse reader = co_await client->open(std::move(request));
    std::string seen = co_await reader.body->read_some();
    EXPECT_EQ(seen, "first ");
    co_await log.write(2, "last");
    logs.finish(run);
    for (;;) {
      std::string piece = co_await reader.body->read_some();
      if (piece.empty()) break;
      seen += piece;
    }
    EXPECT_EQ(seen, "first last");
  }
};

TEST_F(LiveLogServerTest, shows_a_log_to_who_knows_its_path) { play(refusals()); }
TEST_F(LiveLogServerTest, follows_a_log_to_its_end) { play(follow()); }

}  // namespace
}  // namespace gantry::agent
