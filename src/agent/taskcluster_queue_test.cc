#include "agent/taskcluster_queue.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/queue_link.h"
#include "agent/testing/agent_world.h"

namespace gantry::agent {
namespace {

struct TaskclusterQueueTest : testing::Test {
  TaskclusterQueueTest() {
    server->answer = [this](const net::OutgoingRequest& request) {
      asked.push_back(request.target);
      bodies.push_back(request.body);
      net::IncomingResponse response;
      response.status = status;
      response.body = answer;
      return std::optional(response);
    };
    open();
  }
  ~TaskclusterQueueTest() override { env.run(queue->stop()); }

  /// As a restart does.
  void open() {
    if (queue) env.run(queue->stop());
    queue.reset();
    queue =
        make_taskcluster_queue(env, api, {true, "127.0.0.1:0", "here", "", "", {}}, directory.file("claims"), "p/w");
  }

  json::object credentials(const std::string& token) const {
    return {{"clientId", "task"}, {"accessToken", token}, {"certificate", ""}};
  }

  json::object element() const {
    std::string later = format_time(env_now + hours(1));
    return {{"status", {{"taskId", run.task.to_string()}}},
            {"runId", 0},
            {"takenUntil", later},
            {"task", {{"expires", later}, {"deadline", later}, {"payload", json::object()}}},
            {"credentials", credentials("first")}};
  }

  void claim() {
    answer = json::serialize(json::object{{"tasks", json::array{element()}}});
    take(claim_one());
    answer = "{}";
    asked.clear();
  }

  Async<> claim_one() { co_await queue->claim(signer, "prov/type", "{}", "token"); }

  std::optional<Error> take(Async<> work) {
    std::optional<Error> failure;
    env.run(try_it(std::move(work), failure));
    return failure;
  }
  static Async<> try_it(Async<> work, std::optional<Error>& failure) {
    try {
      co_await std::move(work);
    } catch (const Error& error) {
      failure = error;
    }
  }

  Async<> poll(bool restarted, std::vector<wire::RunRef> holds) {
    wire::NodePoll about;
    about.restarted = restarted;
    about.holds = std::move(holds);
    co_await queue->poll(signer, NodeId(), std::move(about));
  }
  Async<> report(wire::ReasonResolved reason) {
    wire::RunReport how;
    how.reason = reason;
    co_await queue->report(signer, run, how);
  }
  Async<> resume(json::value& into) { into = co_await queue->resume(signer, run, "{}"); }

  std::vector<std::string> kept() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(directory.file("claims"))) names.push_back(file.path());
    return names;
  }
  std::string path(std::string_view what) const { return queue_run_path(run) + std::string(what); }

  FakeEnv env;
  TemporaryDirectory directory;
  std::shared_ptr<LogServer> server = std::make_shared<LogServer>();
  ServerApi api{env, server, "taskcluster", 80};
  Signer signer = std::make_shared<const wire::HawkSigner>(wire::HawkCredentials{"worker", "secret", ""});
  wire::RunRef run{TaskId::random(env), 0};
  Time env_now = env.now();
  std::vector<std::string> asked;
  std::vector<std::string> bodies;
  int status = 200;
  std::string answer = "{}";
  std::unique_ptr<QueueLink> queue;
};

TEST_F(TaskclusterQueueTest, keeps_a_claim_until_it_is_resolved) {
  claim();
  ASSERT_EQ(kept().size(), 1u);
  struct stat of_file{};
  ::stat(kept()[0].c_str(), &of_file);
  EXPECT_EQ(of_file.st_mode & 0777u, 0600u);
  status = 503;
  EXPECT_TRUE(take(report(wire::ReasonResolved::completed)));
  EXPECT_EQ(kept().size(), 1u) << "it is reported again later";
  status = 200;
  EXPECT_FALSE(take(report(wire::ReasonResolved::completed)));
  EXPECT_EQ(asked.back(), path("/completed"));
  EXPECT_TRUE(kept().empty());
}

TEST_F(TaskclusterQueueTest, reports_by_the_public_api) {
  take(report(wire::ReasonResolved::failed));
  EXPECT_EQ(asked.back(), path("/failed"));
  take(report(wire::ReasonResolved::malformed_payload));
  EXPECT_EQ(asked.back(), path("/exception"));
  EXPECT_EQ(bodies.back(), R"({"reason":"malformed-payload"})");
}

TEST_F(TaskclusterQueueTest, goes_on_after_a_restart_with_new_credentials) {
  claim();
  open();
  answer = json::serialize(
      json::object{{"takenUntil", format_time(env_now + hours(2))}, {"credentials", credentials("second")}});
  json::value claimed;
  EXPECT_FALSE(take(resume(claimed)));
  EXPECT_EQ(asked, std::vector{path("/reclaim")});
  EXPECT_EQ(read_claim(claimed).credentials.access_token, "second");
  EXPECT_EQ(read_claim(claimed).taken_until, env_now + hours(2));
  asked.clear();
  take(poll(true, {run}));
  EXPECT_TRUE(asked.empty()) << "what is held is not handed back";
}

TEST_F(TaskclusterQueueTest, hands_back_what_is_not_held_after_a_restart) {
  claim();
  open();
  status = 503;
  EXPECT_TRUE(take(poll(true, {}))) << "the server is away: it is tried again";
  status = 200;
  EXPECT_FALSE(take(poll(true, {})));
  EXPECT_EQ(asked.back(), path("/exception"));
  EXPECT_EQ(bodies.back(), R"({"reason":"worker-shutdown"})");
  EXPECT_TRUE(kept().empty());
}

TEST_F(TaskclusterQueueTest, forgets_what_is_no_longer_its_own) {
  claim();
  status = 409;
  EXPECT_FALSE(take(poll(true, {}))) << "cancelled meanwhile: nothing to be handed back";
  EXPECT_TRUE(kept().empty());
  json::value claimed;
  auto failure = take(resume(claimed));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code(), ErrorCode::not_found);
}

TEST_F(TaskclusterQueueTest, removes_a_damaged_claim) {
  std::ofstream(directory.file("claims/x.json")) << "{\"status\":";
  open();
  EXPECT_TRUE(kept().empty());
}

TEST(TaskclusterQueue, keeps_the_log_beside_the_live_one) {
  EXPECT_EQ(backing_name("public/logs/live.log"), "public/logs/live_backing.log");
  EXPECT_EQ(backing_name("mine"), "live_backing.log");
}

}  // namespace
}  // namespace gantry::agent
