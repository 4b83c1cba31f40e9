// The agent on a disk that is short: it claims nothing, says why, and goes on when there is room.
#include <gtest/gtest.h>

#include "agent/agent.h"
#include "agent/garbage.h"
#include "agent/testing/agent_world.h"
#include "base/log.h"
#include "net/response_head.h"
#include "wire/node_messages.h"

namespace gantry::agent {
namespace {

/// Answers polls with its own time, and counts claims, which it lets wait for a second.
class CountingServer : public AnsweringServer {
 public:
  explicit CountingServer(FakeEnv& env) : env_(env) {}
  Duration ahead{};  // of the agent's clock
  int claims = 0;
  wire::NodePoll last_poll;
  int polls = 0;

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    bool is_poll = request.target.find("/poll") != std::string::npos;
    if (is_poll) last_poll = value_or_throw(wire::parse_node_poll(request.body));
    ++(is_poll ? polls : claims);
    co_await env_.sleep(seconds(1));
    net::IncomingResponse response;
    response.status = 200;
    response.headers.add("date", net::http_date(env_.now() + ahead));
    response.body = is_poll ? wire::to_json(wire::NodeNews{}) : R"({"tasks":[]})";
    co_return response;
  }

 private:
  FakeEnv& env_;
};

struct AgentGarbageTest : testing::Test {
  AgentGarbageTest() {
    set_log_sink([](LogLevel, std::string_view) {});
  }
  ~AgentGarbageTest() override {
    if (agent) env.run(agent->stop(OnStop::leave));
    agent.reset();
    set_log_sink(nullptr);
  }
  void start(int slots) {
    AgentSettings settings;
    settings.data_directory = directory.file("agent");
    settings.server_host = "server";
    settings.server_port = 80;
    settings.credentials = {"root", "token", ""};
    settings.slots = slots;
    settings.garbage.disk_bytes_per_slot = 100;
    settings.garbage.free_bytes = [this](const std::string&) { return free_bytes; };
    agent = std::make_unique<Agent>(env, settings, server, engine);
    agent->start();
  }
  void wait_for_polls(int more) {
    int wanted = server->polls + more;
    env.run_until([&] { return server->polls >= wanted; });
  }

  FakeEnv env;
  TemporaryDirectory directory;
  std::int64_t free_bytes = 1'000;
  std::shared_ptr<CountingServer> server = std::make_shared<CountingServer>(env);
  std::shared_ptr<FakeEngine> engine = std::make_shared<FakeEngine>();
  std::unique_ptr<Agent> agent;
};

TEST_F(AgentGarbageTest, NothingIsClaimedWhileTheDiskIsShort) {
  free_bytes = 299;
  start(3);
  wait_for_polls(30);
  EXPECT_EQ(server->claims, 0);
  EXPECT_EQ(server->last_poll.trouble.find("disk: "), 0u) << server->last_poll.trouble;
  free_bytes = 300;
  Duration since = env.uptime();
  env.run_until([&] { return server->claims > 0; });
  EXPECT_LE(env.uptime() - since, short_disk_interval + milliseconds(100));
  wait_for_polls(2);
  EXPECT_EQ(server->last_poll.trouble, "");
  free_bytes = 0;
  env.advance(seconds(3));
  int claims = server->claims;
  env.advance(minutes(2));
  EXPECT_EQ(server->claims, claims);
}

TEST_F(AgentGarbageTest, AClockThatIsOffIsTold) {
  server->ahead = seconds(-42);
  start(1);
  wait_for_polls(5);
  EXPECT_NEAR(static_cast<double>(server->last_poll.clock_ahead_ms), 42'000, 1100);
}

TEST_F(AgentGarbageTest, AutomaticSlotsFitTheDisk) {
  free_bytes = 250;
  start(0);
  wait_for_polls(3);
  EXPECT_EQ(server->last_poll.slots, 1);
}

}  // namespace
}  // namespace gantry::agent
