#include "agent/enrolment.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/testing/agent_world.h"

namespace gantry::agent {
namespace {

/// A server that enrols, or answers what it is told to.
class EnrolmentServer : public AnsweringServer {
 public:
  explicit EnrolmentServer(Env& env) : env_(env) {}
  int status = 200;
  bool away = false;
  std::vector<net::OutgoingRequest> requests;

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    requests.push_back(std::move(request));
    if (away) throw Error(ErrorCode::unavailable, "nobody answers");
    net::IncomingResponse response;
    response.status = status;
    response.body = status == 200 ? wire::to_json(enrolment()) : R"({"code":"x","message":"no"})";
    co_return response;
  }

  wire::Enrolment enrolment() {
    wire::Enrolment enrolment;
    enrolment.credentials = {"node/a/b/w", "token-" + std::to_string(++issued_), "{}"};
    enrolment.task_queue = "a/b";
    enrolment.worker_group = "a";
    enrolment.worker_id = "w";
    enrolment.issued = env_.now();
    enrolment.expires = env_.now() + days(30);
    return enrolment;
  }

 private:
  Env& env_;
  int issued_ = 0;
};

struct EnrolmentTest : ::testing::Test {
  FakeEnv env;
  TemporaryDirectory directory;
  std::string path = directory.file("agent");
  std::shared_ptr<EnrolmentServer> server = std::make_shared<EnrolmentServer>(env);
  ServerApi api{env, server, "server", 443, true};
  NodeId node = agent_id(env, path);
  Scope scope{env.executor(), "test"};
  std::vector<std::string> used;

  void TearDown() override {
    scope.cancel();
    env.run(scope.join());
  }
  wire::JoinRequest request() { return {"secret", node, "w"}; }
  void keep(const wire::Enrolment& enrolment) {
    auto use = [this](const wire::HawkCredentials& credentials) { used.push_back(credentials.access_token); };
    scope.spawn("renewal", keep_enrolled(api, path, node, enrolment, use));
  }
};

TEST_F(EnrolmentTest, IsKeptPrivatelyOnDisk) {
  EXPECT_FALSE(read_enrolment(path));
  wire::Enrolment made = server->enrolment();
  write_enrolment(path, made);
  auto found = read_enrolment(path);
  ASSERT_TRUE(found);
  EXPECT_EQ(wire::to_json(*found), wire::to_json(made));
  struct stat info{};
  ASSERT_EQ(::stat((path + "/enrolment.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  std::ofstream(path + "/enrolment.json") << "{\"half\":";
  EXPECT_THROW(read_enrolment(path), Error);
}

TEST_F(EnrolmentTest, TheTokenTravelsInTheBodyOnly) {
  wire::Enrolment enrolment = env.run(join(api, request()));
  EXPECT_EQ(enrolment.credentials.access_token, "token-1");
  const net::OutgoingRequest& sent = server->requests.at(0);
  EXPECT_EQ(sent.target, "/v1/join");
  EXPECT_EQ(sent.headers.get("authorization"), "");
  EXPECT_NE(sent.body.find("secret"), std::string::npos);
}

TEST_F(EnrolmentTest, JoiningWaitsForAServerThatIsAway) {
  server->away = true;
  auto joining = env.start(join(api, request()));
  env.advance(minutes(5));
  EXPECT_FALSE(joining->done);
  server->away = false;
  EXPECT_EQ(env.finish(joining).worker_id, "w");
}

TEST_F(EnrolmentTest, JoiningEndsWhereItCannotWork) {
  server->status = 401;
  EXPECT_THROW(env.run(join(api, request())), Error);
  EXPECT_EQ(server->requests.size(), 1u);
  server->status = 409;  // a node that was stopped a moment ago: worth some patience
  EXPECT_THROW(env.run(join(api, request())), Error);
  EXPECT_GT(server->requests.size(), 5u);
}

TEST_F(EnrolmentTest, IsRenewedAtHalfItsLife) {
  keep(server->enrolment());
  env.advance(days(15) - minutes(1));
  EXPECT_TRUE(used.empty());
  env.advance(minutes(2));
  ASSERT_EQ(used, std::vector<std::string>{"token-2"});
  EXPECT_EQ(read_enrolment(path)->credentials.access_token, "token-2");
  EXPECT_EQ(server->requests.at(0).target, "/v1/nodes/" + node.to_string() + "/renew");
  env.advance(days(15));
  EXPECT_EQ(used.size(), 2u);
}

TEST_F(EnrolmentTest, RenewalIsTriedUntilItWorks) {
  keep(server->enrolment());
  server->away = true;
  env.advance(days(16));
  EXPECT_TRUE(used.empty());
  server->away = false;
  server->status = 404;
  env.advance(minutes(3));
  EXPECT_TRUE(used.empty());
  server->status = 200;
  env.advance(minutes(3));
  EXPECT_EQ(used.size(), 1u);
}

}  // namespace
}  // namespace gantry::agent
