// The agent's claims: one whose answer was lost is asked for again, so that nothing waits for its claim to end.
#include "agent/agent.h"

#include <set>

#include <gtest/gtest.h>

#include "agent/testing/agent_world.h"
#include "base/log.h"
#include "wire/node_messages.h"

namespace gantry::agent {
namespace {

/// A server that answers polls, and claims as the test says.
class ClaimServer : public AnsweringServer {
 public:
  struct Claim {
    std::string token;
    bool lost;
  };
  explicit ClaimServer(FakeEnv& env) : env_(env) {}

  std::vector<Claim> claims;
  std::deque<bool> lose;  // for each claim to come; after those nothing is lost
  int restarted_polls = 0;

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    net::IncomingResponse response;
    response.status = 200;
    if (request.target.find("/poll") != std::string::npos) {
      if (value_or_throw(wire::parse_node_poll(request.body)).restarted) ++restarted_polls;
      co_await env_.sleep(seconds(10));
      response.body = wire::to_json(wire::NodeNews{});
      co_return response;
    }
    bool lost = !lose.empty() && lose.front();
    if (!lose.empty()) lose.pop_front();
    claims.push_back({std::string(request.headers.get(wire::claim_token_header)), lost});
    co_await env_.sleep(seconds(20));
    if (lost) throw Error(ErrorCode::unavailable, "the connection broke off");
    response.body = R"({"tasks":[]})";
    co_return response;
  }

 private:
  FakeEnv& env_;
};

struct AgentTest : testing::Test {
  AgentTest() {
    set_log_sink([](LogLevel, std::string_view) {});
    AgentSettings settings;
    settings.data_directory = directory.file("agent");
    settings.server_host = "server";
    settings.server_port = 80;
    settings.credentials = {"root", "token", ""};
    settings.slots = 1;
    agent = std::make_unique<Agent>(env, settings, server, engine);
    agent->start();
  }
  ~AgentTest() override {
    env.run(agent->stop(OnStop::leave));
    agent.reset();
    set_log_sink(nullptr);
  }
  void wait_for_claims(std::size_t count) {
    env.run_until([&] { return server->claims.size() >= count; });
  }

  FakeEnv env;
  TemporaryDirectory directory;
  std::shared_ptr<ClaimServer> server = std::make_shared<ClaimServer>(env);
  std::shared_ptr<FakeEngine> engine = std::make_shared<FakeEngine>();
  std::unique_ptr<Agent> agent;
};

TEST_F(AgentTest, EachClaimHasATokenOfItsOwn) {
  wait_for_claims(3);
  std::set<std::string> tokens;
  for (const auto& claim : server->claims) tokens.insert(claim.token);
  EXPECT_EQ(tokens.size(), 3u);
  EXPECT_FALSE(tokens.contains(""));
}

TEST_F(AgentTest, ALostClaimIsAskedForAgainWithItsToken) {
  server->lose = {false, true, true, false};
  wait_for_claims(5);
  const auto& claims = server->claims;
  EXPECT_NE(claims[0].token, claims[1].token);
  EXPECT_EQ(claims[1].token, claims[2].token);
  EXPECT_EQ(claims[2].token, claims[3].token);
  EXPECT_NE(claims[3].token, claims[4].token) << "that one was answered";
  EXPECT_EQ(server->restarted_polls, 1) << "at the start only: nothing has to be handed back";
}

TEST_F(AgentTest, AClaimThatIsGivenUpIsHandedBack) {
  wait_for_claims(1);
  std::string token = server->claims[0].token;
  engine->away = true;
  env.run_until([&] { return server->restarted_polls >= 2; });
  engine->away = false;
  wait_for_claims(2);
  EXPECT_NE(server->claims[1].token, token);
}

}  // namespace
}  // namespace gantry::agent
