// A server whose clock is another one: what its answers tell, and what is signed.
#include "agent/server_clock.h"

#include <gtest/gtest.h>

#include "agent/server_api.h"
#include "agent/testing/agent_world.h"
#include "base/log.h"
#include "net/response_head.h"

namespace gantry::agent {
namespace {

/// Takes what was signed within `tolerance` of its clock, and says what that is.
class OtherClockServer : public AnsweringServer {
 public:
  explicit OtherClockServer(FakeEnv& env) : env_(env) {}
  Duration ahead{};  // of the agent's clock
  Duration tolerance = minutes(15);
  Duration takes = milliseconds(20);
  int refused = 0;
  int taken = 0;
  std::string last_body;
  Duration signed_off{};  // by the last request, of this clock

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    std::string authorization(request.headers.get("authorization"));
    co_await env_.sleep(takes);
    Time now = env_.now() + ahead;
    auto header = value_or_throw(wire::parse_hawk_header(authorization));
    signed_off = Time(seconds(header.ts_seconds)) - now;
    net::IncomingResponse response;
    response.status = signed_off > tolerance || signed_off < -tolerance ? 401 : 200;
    ++(response.status == 401 ? refused : taken);
    last_body = request.body;
    response.body = "{}";
    response.headers.add("date", net::http_date(now));
    co_return response;
  }

 private:
  FakeEnv& env_;
};

struct ServerClockTest : testing::Test {
  ServerClockTest() {
    set_log_sink([this](LogLevel, std::string_view line) { logged += std::string(line) + "\n"; });
    api.clock().tell();
  }
  ~ServerClockTest() override { set_log_sink({}); }

  std::string post() {
    try {
      return env.run(api.post_json(signer, "/v1/x", "body", seconds(30)));
    } catch (const Error& error) {
      return error.message();
    }
  }
  /// Ours less the server's, as it is.
  void expect_ahead(Duration truth) {
    EXPECT_NEAR(static_cast<double>(api.clock().ahead().count()), static_cast<double>(truth.count()), 1100);
    Duration off = api.now() - (env.now() + server->ahead);
    EXPECT_NEAR(static_cast<double>(off.count()), 0, 1100);
  }

  FakeEnv env;
  std::shared_ptr<OtherClockServer> server = std::make_shared<OtherClockServer>(env);
  ServerApi api{env, server, "server", 80};
  Signer signer = std::make_shared<const wire::HawkSigner>(wire::HawkCredentials{"agent", "secret", ""});
  std::string logged;
};

TEST_F(ServerClockTest, DatesAreRead) {
  EXPECT_EQ(parse_http_date("Fri, 20 Nov 2026 06:41:03 GMT"), parse_time("2026-11-20T06:41:03Z"));
  EXPECT_EQ(parse_http_date("Thu, 29 Feb 2024 23:59:59 GMT"), parse_time("2024-02-29T23:59:59Z"));
  EXPECT_EQ(parse_http_date(net::http_date(env.now())), env.now());
  for (const char* bad :
       {"", "Fri, 20 Nov 2026 06:41:03", "Fri, 20 nov 2026 06:41:03 GMT", "Thu, 29 Feb 2023 23:59:59 GMT",
        "Fri, 20 Nov 2026 26:41:03 GMT", "Fri, 2x Nov 2026 06:41:03 GMT", "Fri, 20 Nov 2026 06:41:03 UTC"}) {
    EXPECT_FALSE(parse_http_date(bad)) << bad;
  }
}

TEST_F(ServerClockTest, ClocksInStepAreLeftAlone) {
  for (Duration ahead : {Duration(0), Duration(700), Duration(-700)}) {
    server->ahead = ahead;
    for (int n = 0; n < 40; ++n) {
      server->takes = milliseconds(n % 3 == 0 ? 10'000 : 15);
      EXPECT_EQ(post(), "{}");
      EXPECT_EQ(api.clock().ahead(), Duration(0));
      env.advance(milliseconds(370));
    }
  }
  EXPECT_EQ(logged, "");
}

TEST_F(ServerClockTest, MinutesOffBothWaysAreTakenAndToldOnce) {
  for (Duration ahead : {minutes(3), minutes(-3)}) {
    server->ahead = ahead;
    logged.clear();
    for (int n = 0; n < 10; ++n) {
      EXPECT_EQ(post(), "{}");
      env.advance(milliseconds(2300));
    }
    expect_ahead(-ahead);
    EXPECT_NEAR(static_cast<double>(server->signed_off.count()), 0, 2100) << "signed with the server's time";
  }
  EXPECT_EQ(server->refused, 0);
}

TEST_F(ServerClockTest, ARefusedRequestIsSignedAnewOnce) {
  for (Duration ahead : {hours(26), hours(-26)}) {
    server->ahead = ahead;
    server->refused = server->taken = 0;
    EXPECT_EQ(post(), "{}");
    EXPECT_EQ(server->last_body, "body");
    EXPECT_EQ(server->refused, 1);
    EXPECT_EQ(post(), "{}");
    EXPECT_EQ(server->refused, 1);
    expect_ahead(-ahead);
  }
  EXPECT_NE(logged.find("this machine's clock is 1d2h"), std::string::npos) << logged;
  EXPECT_NE(logged.find("behind the server's"), std::string::npos) << logged;
}

TEST_F(ServerClockTest, AnotherRefusalIsNotTriedAgain) {
  server->tolerance = seconds(-1);
  EXPECT_EQ(post(), "the server answered 401");
  EXPECT_EQ(server->refused, 1);
}

TEST_F(ServerClockTest, AClockThatIsSetIsNoticed) {
  server->ahead = minutes(5);
  EXPECT_EQ(post(), "{}");
  expect_ahead(minutes(-5));
  env.skew = minutes(5);  // somebody has set this machine's clock
  server->ahead = Duration(0);
  EXPECT_EQ(post(), "{}");
  EXPECT_EQ(api.clock().ahead(), Duration(0));
  EXPECT_NE(logged.find("is in step with the server's"), std::string::npos) << logged;
}

TEST_F(ServerClockTest, AnAnswerThatWasWaitedForTellsTheTimeOfItsEnd) {
  server->ahead = minutes(1);
  server->takes = seconds(20);
  EXPECT_EQ(post(), "{}");
  expect_ahead(minutes(-1));
}

}  // namespace
}  // namespace gantry::agent
