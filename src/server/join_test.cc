// Machines that become nodes: join tokens, credentials, renewal, removal.
#include "server/auth/join_token.h"
#include "server/testing/server_world.h"
#include "wire/join_messages.h"

namespace gantry::server {
namespace {

using net::Method;

constexpr const char* node_a = "fN1SbArXTPSVFNUvaOlinQ";
constexpr const char* node_b = "I3kBkJJXSXCZTtMPnsqZDQ";
constexpr const char* node_c = "NNYxBzjOQOW02PcQWcZ2Qg";

class JoinTest : public ::testing::Test, public ServerWorld {
 protected:
  Answer ask_token(std::string pool, std::int64_t ttl_s, const wire::HawkCredentials* as = &root_credentials) {
    return post("/v1/join-tokens", "{\"pool\":\"" + pool + "\",\"ttlSeconds\":" + std::to_string(ttl_s) + "}", as);
  }
  Answer ask_limited(int uses) {
    return post("/v1/join-tokens",
                "{\"pool\":\"prov/queue\",\"ttlSeconds\":3600,\"uses\":" + std::to_string(uses) + "}");
  }
  std::string limited_token(int uses) { return ask_limited(uses).at("/token"); }
  std::string token(std::string pool = "prov/queue") { return ask_token(std::move(pool), 3600).at("/token"); }

  Answer join(std::string with, std::string node, std::string worker = "") {
    wire::JoinRequest request{std::move(with), *NodeId::parse(node), std::move(worker)};
    return post("/v1/join", wire::to_json(request), nullptr);
  }
  wire::Enrolment joined(std::string node, std::string worker = "") {
    Answer answer = join(token(), std::move(node), std::move(worker));
    EXPECT_EQ(answer.status, 200) << answer.text;
    return value_or_throw(wire::parse_enrolment(answer.text));
  }
  Answer poll(std::string node, const wire::Enrolment& as, bool restarted = true) {
    return post("/v1/nodes/" + node + "/poll", poll_body(as, restarted), &as.credentials);
  }
  static std::string poll_body(const wire::Enrolment& as, bool restarted) {
    wire::NodePoll poll;
    poll.name = "box";
    poll.task_queue = as.task_queue;
    poll.worker_group = as.worker_group;
    poll.worker_id = as.worker_id;
    poll.slots = 2;
    poll.memory_bytes = std::int64_t{8} << 30;
    poll.restarted = restarted;
    return wire::to_json(poll);
  }
  static Ask claim_request(const wire::Enrolment& as, std::string pool) {
    return {.method = Method::post,
            .target = "/api/queue/v1/claim-work/" + pool,
            .body = "{\"workerGroup\":\"" + as.worker_group + "\",\"workerId\":\"" + as.worker_id + "\"}",
            .as = &as.credentials};
  }
  Answer claim_as(const wire::Enrolment& as, std::string pool) { return send(claim_request(as, std::move(pool))); }
  Answer remove(std::string node) { return send({.method = Method::delete_, .target = "/v1/nodes/" + node}); }
};

TEST_F(JoinTest, ATokenBecomesCredentialsForOnePoolAndOneWorker) {
  wire::Enrolment self = joined(node_a, "builder-1");
  EXPECT_EQ(self.task_queue, "prov/queue");
  EXPECT_EQ(self.worker_group, "prov");
  EXPECT_EQ(self.worker_id, "builder-1");
  EXPECT_EQ(self.credentials.client_id, "node/prov/queue/builder-1");
  EXPECT_GT(self.expires - self.issued, days(29));
  EXPECT_LE(self.expires - self.issued, days(31));
  EXPECT_EQ(poll(node_a, self).status, 200);
  TaskId id = create();
  EXPECT_EQ(claim_as(self, "prov/queue").at("/tasks/0/status/taskId"), id.to_string());
  EXPECT_EQ(claim_as(self, "prov/other").status, 403);
  const std::string purges = "/api/purge-cache/v1/purge-cache/";
  EXPECT_EQ(send({.target = purges + "prov/queue", .as = &self.credentials}).status, 200);
  EXPECT_EQ(send({.target = purges + "prov/other", .as = &self.credentials}).status, 403);
  EXPECT_EQ(send({.method = Method::post,
                  .target = purges + "prov/queue",
                  .body = R"({"cacheName":"c"})",
                  .as = &self.credentials})
                .status,
            403);
  wire::Enrolment pretender = self;
  pretender.worker_id = "builder-2";
  EXPECT_EQ(poll(node_b, pretender).status, 403);
  EXPECT_EQ(send({.target = "/v1/nodes", .as = &self.credentials}).status, 403);
  EXPECT_EQ(ask_token("prov/queue", 3600, &self.credentials).status, 403);
}

TEST_F(JoinTest, CachesAreAsTheNodesToldThem) {
  wire::Enrolment self = joined(node_a, "builder-1");
  wire::NodePoll told = value_or_throw(wire::parse_node_poll(poll_body(self, true)));
  told.caches = {{"checkouts", "prov/queue", 3, 1, env.now()}};
  EXPECT_EQ(post("/v1/nodes/" + std::string(node_a) + "/poll", wire::to_json(told), &self.credentials).status, 200);
  Answer answer = send({.target = "/v1/caches"});
  EXPECT_EQ(answer.at("/caches/0/name"), "checkouts");
  EXPECT_EQ(answer.at("/caches/0/node"), "box");
  EXPECT_EQ(answer.at("/caches/0/nodeId"), node_a);
  EXPECT_EQ(answer.at("/caches/0/instances"), "3");
  EXPECT_EQ(send({.target = "/v1/caches", .as = &self.credentials}).status, 403);
  EXPECT_EQ(poll(node_a, self).status, 200);
  EXPECT_EQ(send({.target = "/v1/caches"}).text, R"({"caches":[]})");
}

TEST_F(JoinTest, TokensAreForWhoMayMakeThem) {
  EXPECT_EQ(ask_token("prov/queue", 3600, nullptr).status, 403);
  EXPECT_EQ(ask_token("prov/queue", 59).status, 400);
  EXPECT_EQ(ask_token("prov/queue", 60).status, 200);
  EXPECT_EQ(ask_token("prov/queue", 7 * 86400).status, 200);
  EXPECT_EQ(ask_token("prov/queue", 7 * 86400 + 1).status, 400);
  EXPECT_EQ(ask_token("nonsense", 3600).status, 400);
}

TEST_F(JoinTest, WrongTokensAreRefusedSlowly) {
  std::string good = token();
  std::string changed = good;
  changed[20] = changed[20] == 'A' ? 'B' : 'A';
  Duration before = env.uptime();
  for (const std::string& wrong : {std::string("x"), std::string("gantry-join."), std::string("gantry-join.e30.e30"),
                                   changed, good + "A", good.substr(0, good.size() - 1), "y" + good}) {
    Answer answer = join(wrong, node_a);
    EXPECT_EQ(answer.status, 401) << wrong;
    EXPECT_EQ(answer.text.find(wrong), wrong == "x" ? answer.text.find('x') : std::string::npos) << answer.text;
  }
  EXPECT_GE(env.uptime() - before, milliseconds(7 * 500));
  EXPECT_EQ(join(std::string(1024, 'x'), node_a).status, 401);
  EXPECT_EQ(join(std::string(1025, 'x'), node_a).status, 400);
  EXPECT_EQ(join("", node_a).status, 400);
  EXPECT_EQ(join(good, node_a).status, 200);
}

TEST_F(JoinTest, TokensExpireAndOutliveTheServer) {
  std::string long_one = token();
  std::string short_one = ask_token("prov/queue", 60).at("/token");
  restart();
  EXPECT_EQ(join(short_one, node_a).status, 200);
  env.advance(seconds(61));
  Answer late = join(short_one, node_a);
  EXPECT_EQ(late.status, 401);
  EXPECT_NE(late.text.find("expired"), std::string::npos);
  EXPECT_EQ(join(long_one, node_a).status, 200);
}

TEST_F(JoinTest, NobodyBecomesANodeThatIsAtWork) {
  wire::Enrolment self = joined(node_a, "builder-1");
  poll(node_a, self);
  EXPECT_EQ(join(token(), node_b, "builder-1").status, 409);
  EXPECT_EQ(join(token(), node_a, "builder-2").status, 409);
  env.advance(seconds(16));
  EXPECT_EQ(join(token(), node_a, "builder-2").status, 409) << "it has another name";
  EXPECT_EQ(join(token("prov/other"), node_a, "builder-1").status, 409) << "it is of another pool";
  EXPECT_EQ(join(token(), node_b, "builder-1").status, 200) << "as after a lost data directory";
}

TEST_F(JoinTest, AReinstalledAgentTakesItsOldPlace) {
  wire::Enrolment old_self = joined(node_a, "builder-1");
  poll(node_a, old_self);
  TaskId id = create();
  claim_as(old_self, "prov/queue");
  EXPECT_EQ(runs(id), "running");
  env.advance(seconds(18));
  EXPECT_EQ(runs(id), "exception claim-expired, pending");
  wire::Enrolment new_self = joined(node_b, "builder-1");
  EXPECT_EQ(poll(node_b, new_self).status, 200);
  EXPECT_EQ(get("/v1/nodes").at("/nodes/0/id"), node_b);
  EXPECT_EQ(poll(node_a, old_self).status, 409) << "the old one cannot come back while the new one is there";
}

TEST_F(JoinTest, CredentialsAreRenewedByThemselves) {
  wire::Enrolment self = joined(node_a);
  EXPECT_EQ(self.worker_id, std::string("node-") + node_a);
  std::string path = std::string("/v1/nodes/") + node_a + "/renew";
  EXPECT_EQ(post(path, "{}", &self.credentials).status, 404) << "it has not polled";
  poll(node_a, self);
  env.skew += days(20);
  env.advance(seconds(2));
  Answer answer = post(path, "{}", &self.credentials);
  ASSERT_EQ(answer.status, 200) << answer.text;
  wire::Enrolment renewed = value_or_throw(wire::parse_enrolment(answer.text));
  EXPECT_EQ(renewed.worker_id, self.worker_id);
  EXPECT_GT(renewed.expires, self.expires + days(15));
  env.skew += days(11);
  env.advance(seconds(2));
  EXPECT_EQ(poll(node_a, self).status, 401) << "expired";
  EXPECT_EQ(poll(node_a, renewed).status, 200);
  EXPECT_EQ(post(path).status, 403) << "root is not that node";
  EXPECT_EQ(post(path, "{}", nullptr).status, 403);
  wire::Enrolment other = joined(node_b);
  poll(node_b, other);
  EXPECT_EQ(post(path, "{}", &other.credentials).status, 403);
}

TEST_F(JoinTest, OnlyASilentNodeIsRemoved) {
  wire::Enrolment self = joined(node_a, "builder-1");
  poll(node_a, self);
  EXPECT_EQ(send({.method = Method::delete_, .target = std::string("/v1/nodes/") + node_a, .as = nullptr}).status, 403);
  EXPECT_EQ(remove(node_a).status, 409);
  TaskId id = create();
  claim_as(self, "prov/queue");
  env.advance(seconds(16));
  EXPECT_EQ(remove(node_a).status, 200);
  EXPECT_EQ(runs(id), "exception claim-expired, pending");
  EXPECT_EQ(get("/v1/nodes").at("/nodes"), "[]");
  EXPECT_EQ(remove(node_a).status, 404);
  EXPECT_EQ(remove("nonsense").status, 400);
  restart();
  EXPECT_EQ(get("/v1/nodes").at("/nodes"), "[]");
}

TEST_F(JoinTest, ALimitedTokenMakesSoManyNodes) {
  std::string twice = limited_token(2);
  EXPECT_EQ(join(twice, node_a, "a").status, 200);
  EXPECT_EQ(join(twice, node_a, "a").status, 200) << "the answer may have been lost";
  restart();
  EXPECT_EQ(join(twice, node_b, "b").status, 200);
  EXPECT_EQ(join(twice, node_a, "a").status, 200);
  Answer third = join(twice, node_c, "c");
  EXPECT_EQ(third.status, 401);
  EXPECT_NE(third.text.find("used up: it was for 2 machines"), std::string::npos) << third.text;
  EXPECT_EQ(join(limited_token(1), node_c, "c").status, 200);
  for (int wrong : {0, -1, 1001}) EXPECT_EQ(ask_limited(wrong).status, 400) << wrong;
  EXPECT_EQ(ask_limited(1000).status, 200);
}

TEST_F(JoinTest, ARefusedMachineUsesNothingUp) {
  wire::Enrolment self = joined(node_a, "builder-1");
  poll(node_a, self);
  std::string once = limited_token(1);
  EXPECT_EQ(join(once, node_b, "builder-1").status, 409) << "it is at work";
  EXPECT_EQ(join(once, node_b, "builder-2").status, 200);
}

TEST_F(JoinTest, ARemovedNodesCredentialsCountNoMore) {
  std::string once = limited_token(1);
  wire::Enrolment self = value_or_throw(wire::parse_enrolment(join(once, node_a, "builder-1").text));
  wire::Enrolment other = joined(node_b, "builder-2");
  poll(node_a, self);
  poll(node_b, other);
  env.advance(seconds(16));
  poll(node_b, other);
  ASSERT_EQ(remove(node_a).status, 200);
  Answer refused = poll(node_a, self);
  EXPECT_EQ(refused.status, 401);
  EXPECT_NE(refused.text.find("node/prov/queue/builder-1 was removed"), std::string::npos) << refused.text;
  EXPECT_EQ(claim_as(self, "prov/queue").status, 401);
  EXPECT_EQ(post(std::string("/v1/nodes/") + node_a + "/renew", "{}", &self.credentials).status, 401);
  EXPECT_EQ(poll(node_b, other).status, 200);
  EXPECT_EQ(join(once, node_a, "builder-1").status, 401) << "its token let it in once";
  restart();
  EXPECT_EQ(poll(node_a, self).status, 401) << "after a restart, too";
  // A new token lets it in again, and the old credentials stay outside.
  wire::Enrolment again = joined(node_a, "builder-1");
  EXPECT_EQ(poll(node_a, again).status, 200);
  EXPECT_EQ(poll(node_a, self).status, 401);
}

TEST_F(JoinTest, AClaimThatWaitsWhileItsNodeIsRemovedGetsNothing) {
  wire::Enrolment self = joined(node_a, "builder-1");
  poll(node_a, self);
  env.advance(seconds(10));
  auto claim = begin(claim_request(self, "prov/queue"));
  env.advance(seconds(6));
  ASSERT_EQ(remove(node_a).status, 200);
  TaskId id = create();
  EXPECT_EQ(env.finish(claim).at("/tasks"), "[]");
  EXPECT_EQ(runs(id), "pending");
}

TEST(JoinToken, HoldsWhatItGrants) {
  HmacSha256Key key("key");
  auth::JoinGrant grant{"id", "a/b", fake_start + seconds(60), 3};
  std::string token = auth::make_join_token(key, grant);
  auto found = auth::check_join_token(key, token, fake_start);
  ASSERT_TRUE(found);
  EXPECT_EQ(found.value().task_queue, "a/b");
  EXPECT_EQ(found.value().expires, grant.expires);
  EXPECT_EQ(found.value().id, "id");
  EXPECT_EQ(found.value().uses_max, 3);
  EXPECT_FALSE(auth::check_join_token(HmacSha256Key("other"), token, fake_start));
  EXPECT_TRUE(auth::check_join_token(key, token, grant.expires - Duration(1)));
  EXPECT_FALSE(auth::check_join_token(key, token, grant.expires));
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    auto checked = auth::check_join_token(key, changed, fake_start);
    // The last character of base64 has bits that stand for nothing.
    if (i + 1 != token.size()) EXPECT_FALSE(checked) << i;
  }
}

}  // namespace
}  // namespace gantry::server
