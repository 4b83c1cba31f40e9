// payload.supersederUrl: what is asked, what is believed, and who makes way for whom.
#include "agent/task/superseder.h"

#include <gtest/gtest.h>

#include "agent/testing/run_world.h"

namespace gantry::agent {
namespace {

constexpr const char* url = "http://superseder.example/queue?of=me";

/// The user's service.
class Service : public AnsweringServer {
 public:
  int status = 200;
  std::function<std::string(const std::string& target)> answer;
  std::vector<std::string> targets;

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t body_bytes_max) override {
    targets.push_back(request.target);
    EXPECT_EQ(body_bytes_max, superseder_answer_bytes_max);
    EXPECT_EQ(request.timeout, seconds(5));
    EXPECT_FALSE(request.headers.has("authorization"));
    net::IncomingResponse response;
    response.status = status;
    response.body = answer(request.target);
    co_return response;
  }
};

struct SupersederTest : TaskRunTest {
  struct Other {
    std::string state = "pending";
    std::string superseder = url;
    std::string queue = "prov/type";
  };

  SupersederTest() {
    settings.agent_signer = std::make_shared<const wire::HawkSigner>(wire::HawkCredentials{"agent", "secret", ""});
    settings.outside = [this](const net::Endpoint& endpoint) {
      elsewhere_only = endpoint.elsewhere_only;
      return service;
    };
    service->answer = [this](const std::string& target) { return list(target); };
    more_answers = [this](const net::OutgoingRequest& request) { return queue(request); };
  }

  /// The order of all tasks, the own one where the empty id is.
  std::string list(const std::string& target) const {
    std::string own = target.substr(target.find("taskId=") + 7);
    json::array tasks;
    for (const std::string& id : order) tasks.emplace_back(id.empty() ? own : id);
    return json::serialize(json::object{{"supersedes", tasks}});
  }

  std::string add(Other other) {
    std::string id = TaskId::random(env).to_string();
    others[id] = std::move(other);
    return id;
  }

  static net::IncomingResponse reply(int status, const json::value& body) {
    net::IncomingResponse response;
    response.status = status;
    response.body = json::serialize(body);
    return response;
  }

  std::optional<net::IncomingResponse> queue(const net::OutgoingRequest& request) {
    const std::string& target = request.target;
    for (const auto& [id, other] : others) {
      const std::string path = "/api/queue/v1/task/" + id;
      if (target == path) return reply(200, json::object{{"payload", {{"supersederUrl", other.superseder}}}});
      if (target == path + "/status") {
        return reply(
            200,
            json::object{
                {"status",
                 {{"taskId", id}, {"taskQueueId", other.queue}, {"state", other.state}, {"runs", {json::object()}}}}});
      }
      if (target == path + "/runs/0/claim") return claim(id);
      if (target == path + "/runs/0/exception") {
        resolved.emplace_back(id, request.body);
        return reply(200, json::object());
      }
    }
    return target.starts_with("/api/queue/v1/task/") && request.method == net::Method::get
               ? std::optional(reply(404, json::object{{"message", "no such task"}}))
               : std::nullopt;
  }

  net::IncomingResponse claim(const std::string& id) {
    claims.push_back(id);
    if (claim_status != 200) return reply(claim_status, json::object{{"message", "taken"}});
    std::string later = format_time(env.now() + hours(1));
    return reply(200, json::object{{"status", {{"taskId", id}}},
                                   {"runId", 0},
                                   {"takenUntil", later},
                                   {"task", {{"expires", later}, {"deadline", later}}},
                                   {"credentials", {{"clientId", "c"}, {"accessToken", "a"}, {"certificate", "x"}}}});
  }

  std::string run_it() { return run({{"supersederUrl", url}}); }

  std::shared_ptr<Service> service = std::make_shared<Service>();
  std::map<std::string, Other> others;
  std::vector<std::string> order{""};
  std::vector<std::string> claims;
  std::vector<std::pair<std::string, std::string>> resolved;
  int claim_status = 200;
  bool elsewhere_only = false;
};

using Ids = std::vector<std::string>;

TEST_F(SupersederTest, TheNewestRunsAndTakesTheOlderOnesOutOfTheWay) {
  Ids older{add({}), add({})};
  order = {older[0], older[1], ""};
  EXPECT_EQ(run_it(), "completed") << server->log;
  EXPECT_EQ(service->targets, Ids{"/queue?of=me&taskId=" + task.to_string()});
  EXPECT_TRUE(elsewhere_only);
  EXPECT_EQ(claims, older);
  ASSERT_EQ(resolved.size(), 2u);
  EXPECT_EQ(resolved[0].second, R"({"reason":"superseded"})");
  ASSERT_EQ(uploads.size(), 3u);
  EXPECT_EQ(uploads[0], "public%2Fsuperseded-by.json");
  EXPECT_EQ(uploads[2], "public%2Fsupersedes.json");
  EXPECT_TRUE(logged("Supersedes task " + older[0]));
}

TEST_F(SupersederTest, AnOlderOneMakesWayForTheNewestThatStands) {
  std::string older = add({});
  std::string newer = add({});
  std::string failed = add({.state = "failed"});
  order = {older, "", newer, failed};
  EXPECT_EQ(run_it(), "superseded");
  EXPECT_TRUE(logged("Superseded by task " + newer)) << server->log;
  EXPECT_FALSE(engine.created);
  EXPECT_TRUE(claims.empty()) << "the newest takes the oldest, when its turn comes";
  ASSERT_EQ(uploads.size(), 1u);
  EXPECT_EQ(uploads[0], "public%2Fsuperseded-by.json");
}

TEST_F(SupersederTest, TasksThatHaveNotChosenThisServiceAreLeftAlone) {
  order = {add({.superseder = "http://other.example/"}),
           add({.queue = "prov/other"}),
           add({.state = "running"}),
           TaskId::random(env).to_string(),
           "",
           add({.superseder = "http://other.example/"})};
  EXPECT_EQ(run_it(), "completed") << server->log;
  EXPECT_TRUE(claims.empty());
  EXPECT_TRUE(resolved.empty());
  EXPECT_TRUE(uploads.empty());
}

TEST_F(SupersederTest, OneThatSomebodyElseTookIsNotSuperseded) {
  std::string older = add({});
  order = {older, ""};
  claim_status = 409;
  EXPECT_EQ(run_it(), "completed");
  EXPECT_TRUE(logged("Task " + older + " is not superseded: taken")) << server->log;
  EXPECT_TRUE(resolved.empty());
}

TEST_F(SupersederTest, AServiceThatIsDownOrOddKeepsNobodyFromRunning) {
  service->status = 302;
  EXPECT_EQ(run_it(), "completed");
  EXPECT_TRUE(
      logged("payload.supersederUrl: http://superseder.example:80 answered 302; the task is run as if it had "
             "none"))
      << server->log;
  service->status = 200;
  service->answer = [](const std::string&) { return std::string("<html>"); };
  EXPECT_EQ(run_it(), "completed");
  EXPECT_TRUE(logged("the task is run as if it had none"));
}

TEST_F(SupersederTest, ThisMachineIsNotAsked) {
  settings.outside = nullptr;
  for (const char* here : {"http://127.0.0.1:1/", "http://[::1]:1/", "http://169.254.169.254/latest/meta-data",
                           "http://[::ffff:169.254.169.254]/"}) {
    EXPECT_EQ(run({{"supersederUrl", here}}), "completed");
    EXPECT_TRUE(logged("is an address of this machine, or a link-local one; the task is run as if")) << server->log;
  }
}

TEST(SupersederRequest, HasTheTaskInItsQuery) {
  TaskId task = *TaskId::parse("fN1SbArXTPSVFNUvaOlinQ");
  auto target = [&](std::string_view text) { return superseder_request(text, task).value().target; };
  EXPECT_EQ(target("http://a"), "/?taskId=fN1SbArXTPSVFNUvaOlinQ");
  EXPECT_EQ(target("http://a?x=1"), "/?x=1&taskId=fN1SbArXTPSVFNUvaOlinQ");
  EXPECT_EQ(target("https://a:1/b#c"), "/b?taskId=fN1SbArXTPSVFNUvaOlinQ");
  EXPECT_EQ(superseder_request("https://a:1/b", task).value().base, "https://a:1");
  EXPECT_FALSE(superseder_request("file:///etc/passwd", task));
}

TEST(Superseded, OnlyAListWithTheTaskItselfIsBelieved) {
  TaskId task = *TaskId::parse("fN1SbArXTPSVFNUvaOlinQ");
  auto good = parse_superseded(R"({"supersedes":["fN1SbArXTPSVFNUvaOlinQ"]})", task);
  ASSERT_TRUE(good);
  EXPECT_EQ(good.value(), std::vector<TaskId>{task});
  std::string many = R"({"supersedes":["fN1SbArXTPSVFNUvaOlinQ")";
  for (std::size_t i = 0; i < superseded_tasks_max; ++i) many += R"(,"fN1SbArXTPSVFNUvaOlinQ")";
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"supersedes":[]})"),
        std::string(R"({"supersedes":["x"]})"), std::string(R"({"supersedes":[1]})"), many + "]}",
        std::string(R"({"supersedes":["fN1SbArXTPSVFNUvaOlinQ","fN1SbArXTPSVFNUvaOlinQ"]})")}) {
    EXPECT_FALSE(parse_superseded(bad, task)) << bad;
  }
}

}  // namespace
}  // namespace gantry::agent
