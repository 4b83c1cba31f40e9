// The host plug-ins, each against the other side as a test plays it.
#include "agent/host/host.h"

#include <deque>
#include <fstream>

#include <gtest/gtest.h>

#include "agent/host/aws.h"
#include "agent/host/file_host.h"
#include "agent/host/limits.h"
#include "agent/host/worker_runner.h"
#include "agent/testing/agent_world.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

struct HostTest : testing::Test {
  HostTest() {
    set_log_sink([this](LogLevel, std::string_view line) { log += std::string(line) + "\n"; });
  }
  ~HostTest() override { set_log_sink(nullptr); }

  Async<> note() {
    notice = co_await host->wait_for_notice();
    ++notices;
  }
  void watch() { scope.spawn("notice", note()); }
  void end() {
    scope.cancel();
    env.run(scope.join());
  }

  FakeEnv env;
  TemporaryDirectory directory;
  std::string log;
  std::shared_ptr<Host> host;
  HostNotice notice;
  int notices = 0;
  Scope scope{env.executor(), "test"};
};

/// An instance metadata service, as this test thinks of it.
class MetadataStub : public AnsweringServer {
 public:
  std::map<std::string, std::string> documents;
  int failures = 0;  // so many requests to come are not answered
  bool gives_tokens = true;
  bool wants_tokens = true;
  std::string token = "token-1";
  std::vector<std::string> asked;

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    asked.push_back(request.target);
    if (failures > 0) {
      --failures;
      throw Error(ErrorCode::unavailable, "connection refused");
    }
    net::IncomingResponse response;
    response.status = 404;
    if (request.target == "/latest/api/token") {
      bool good = gives_tokens && request.method == net::Method::put &&
                  !request.headers.get("X-aws-ec2-metadata-token-ttl-seconds").empty();
      response.status = good ? 200 : 404;
      if (good) response.body = token;
    } else if (wants_tokens && request.headers.get("X-aws-ec2-metadata-token") != token) {
      response.status = 401;
    } else if (auto found = documents.find(request.target); found != documents.end()) {
      response.status = 200;
      response.body = found->second;
    }
    co_return response;
  }
};

struct AwsTest : HostTest {
  AwsTest() {
    const std::string meta = "/2012-01-12/meta-data/";
    service->documents = {{meta + "public-hostname", "ec2-1.example"},
                          {meta + "instance-id", "i-1234"},
                          {meta + "ami-id", "ami-5"},
                          {meta + "placement/availability-zone", "us-west-2b"},
                          {meta + "instance-type", "m5.large"}};
    host = make_aws_host(env, service, "metadata");
  }
  ~AwsTest() override { end(); }
  std::shared_ptr<MetadataStub> service = std::make_shared<MetadataStub>();
};

constexpr const char* termination_path = "/latest/meta-data/spot/termination-time";

TEST_F(AwsTest, TellsWhoTheMachineIs) {
  service->documents["/2012-01-12/user-data"] = R"({"capacity":3,"shutdown":{"enabled":true}})";
  HostFacts facts = env.run(host->facts());
  EXPECT_EQ(facts.worker_id, "i-1234");
  EXPECT_EQ(facts.worker_group, "us-west-2b");
  EXPECT_EQ(facts.region, "us-west-2");
  EXPECT_EQ(facts.worker_type, "ami-5");
  EXPECT_EQ(facts.node_type, "m5.large");
  EXPECT_EQ(facts.public_name, "ec2-1.example");
  EXPECT_EQ(facts.settings.at("capacity"), 3);
  EXPECT_EQ(service->asked.front(), "/latest/api/token");
  EXPECT_EQ(std::ranges::count(service->asked, "/latest/api/token"), 1) << "one token for all";
}

TEST_F(AwsTest, AServiceWithoutTokensIsAskedWithout) {
  service->gives_tokens = service->wants_tokens = false;
  EXPECT_EQ(env.run(host->facts()).worker_id, "i-1234");
}

TEST_F(AwsTest, WhatIsNotThereIsEmpty) {
  service->documents.erase("/2012-01-12/meta-data/public-hostname");
  HostFacts facts = env.run(host->facts());
  EXPECT_EQ(facts.public_name, "");
  EXPECT_TRUE(facts.settings.empty());
}

TEST_F(AwsTest, AnUnreliableServiceIsAskedAgainButNotForEver) {
  service->failures = 3;  // the token and two reads
  EXPECT_EQ(env.run(host->facts()).worker_id, "i-1234");
  service->failures = 1'000'000;
  Duration before = env.uptime();
  EXPECT_THROW(env.run(host->facts()), Error);
  EXPECT_LT(env.uptime() - before, seconds(30));
}

TEST_F(AwsTest, UserDataForOthersIsLeftToThem) {
  service->documents["/2012-01-12/user-data"] = "#!/bin/sh\necho hello\n";
  EXPECT_TRUE(env.run(host->facts()).settings.empty());
}

TEST_F(AwsTest, SettingsThatCannotBeReadAreRefused) {
  service->documents["/2012-01-12/user-data"] = R"({"capacity":3,)";
  EXPECT_THROW(env.run(host->facts()), Error);
}

TEST_F(AwsTest, ASpotNoticeEndsTasksAndMachine) {
  watch();
  env.advance(seconds(60));
  EXPECT_EQ(notices, 0);
  service->documents[termination_path] = "not yet\n";
  env.advance(seconds(60));
  EXPECT_EQ(notices, 0) << "no time, no notice";
  service->documents[termination_path] = "2026-11-20T00:05:00Z\n";
  env.advance(notice_interval);
  ASSERT_EQ(notices, 1);
  EXPECT_FALSE(notice.finish_tasks);
  EXPECT_TRUE(notice.machine);
}

TEST_F(AwsTest, NoticesAreFoundAfterTroubleAndWithANewToken) {
  watch();
  env.advance(seconds(10));
  service->failures = 20;
  env.advance(minutes(2));
  EXPECT_EQ(log.find("spot notices"), log.rfind("spot notices")) << "said once";
  service->token = "token-2";
  service->documents[termination_path] = "2026-11-20T00:05:00Z";
  env.advance(notice_interval * 2);
  EXPECT_EQ(notices, 1);
}

TEST_F(HostTest, AFileTellsTheSame) {
  std::string path = directory.file("host.json");
  auto write = [&](const std::string& text) { std::ofstream(path) << text; };
  host = make_file_host(env, path);
  EXPECT_THROW(env.run(host->facts()), Error) << "not there";
  write(R"({"workerId":"w","workerGroup":"g","workerNodeType":"n","publicHostname":"p","settings":{"a":1}})");
  HostFacts facts = env.run(host->facts());
  EXPECT_EQ(facts.worker_id + facts.worker_group + facts.node_type + facts.public_name, "wgnp");
  EXPECT_EQ(facts.settings.at("a"), 1);
  watch();
  env.advance(minutes(1));
  write("{");
  env.advance(minutes(1));
  EXPECT_NE(log.find(path), std::string::npos) << log;
  EXPECT_EQ(notices, 0);
  write(R"({"terminationTime":"2026-11-20T00:05:00Z"})");
  env.advance(notice_interval);
  EXPECT_EQ(notices, 1);
  end();
}

TEST_F(HostTest, AFileWithAnUnknownKeyIsRefused) {
  auto file = parse_host_file(R"({"workerld":"w"})");
  ASSERT_FALSE(file);
  EXPECT_NE((file.error().message() + file.error().hint()).find("workerId"), std::string::npos);
}

/// What the runner writes and reads.
class PipesStub : public RunnerPipes {
 public:
  std::deque<std::string> input;
  bool over = false;
  bool full = false;
  std::vector<std::string> output;
  Event news;

  void say(std::string bytes) {
    input.push_back(std::move(bytes));
    news.notify_all();
  }
  Async<std::string> read_some() override {
    while (input.empty() && !over) co_await news.wait();
    if (input.empty()) co_return "";
    std::string bytes = std::move(input.front());
    input.pop_front();
    co_return bytes;
  }
  bool write(std::string_view line) override {
    if (!full) output.emplace_back(line);
    return !full;
  }
};

struct RunnerTest : HostTest {
  RunnerTest() {
    host = make_worker_runner_host(env, pipes, [this](const wire::HawkCredentials& c) { used.push_back(c.client_id); });
    watch();
  }
  ~RunnerTest() override { end(); }
  void welcome(const std::string& capabilities) {
    pipes->say("~{\"type\":\"welcome\",\"capabilities\":[" + capabilities + "]}\n");
    env.settle();
  }
  std::vector<std::string> used;
  std::shared_ptr<PipesStub> pipes = std::make_shared<PipesStub>();
};

TEST_F(RunnerTest, BothAgreeOnWhatTheyCan) {
  welcome(R"("log","of-the-future","graceful-termination","new-credentials")");
  ASSERT_EQ(pipes->output.size(), 1u);
  EXPECT_EQ(pipes->output[0],
            "~{\"type\":\"hello\",\"capabilities\":[\"graceful-termination\",\"log\",\"new-credentials\"]}\n");
  EXPECT_FALSE(env.run(host->shut_down())) << "the runner does not know that one";
  env.run(host->report_error("title", "text"));
  ASSERT_EQ(pipes->output.size(), 2u);
  EXPECT_EQ(pipes->output[1], "~{\"type\":\"log\",\"body\":{\"textPayload\":\"title: text\"}}\n");
  welcome(R"("shutdown")");
  EXPECT_EQ(pipes->output.size(), 2u) << "one greeting is enough";
}

TEST_F(RunnerTest, TerminationComesWithAndWithoutTime) {
  welcome(R"("graceful-termination","shutdown")");
  pipes->say(
      "junk\n~{broken}\n~{\"type\":\"graceful-termination\",\"finish-tasks\":true}\n"
      "~{\"type\":\"graceful-termination\",\"finish-tasks\":false}\n");
  env.settle();
  ASSERT_EQ(notices, 1);
  EXPECT_TRUE(notice.finish_tasks);
  EXPECT_FALSE(notice.machine) << "the runner sees to that";
  watch();
  env.settle();
  ASSERT_EQ(notices, 2);
  EXPECT_FALSE(notice.finish_tasks);
  EXPECT_TRUE(env.run(host->shut_down()));
  EXPECT_EQ(pipes->output.back(), "~{\"type\":\"shutdown\"}\n");
}

TEST_F(RunnerTest, WhatWasNotAgreedOnIsNotHeard) {
  pipes->say("~{\"type\":\"graceful-termination\",\"finish-tasks\":false}\n");
  welcome(R"("log")");
  pipes->say(
      "~{\"type\":\"graceful-termination\",\"finish-tasks\":false}\n"
      "~{\"type\":\"new-credentials\",\"client-id\":\"c\",\"access-token\":\"t\"}\n");
  env.settle();
  EXPECT_EQ(notices, 0);
  EXPECT_TRUE(used.empty());
}

TEST_F(RunnerTest, NewCredentialsAreUsed) {
  welcome(R"("new-credentials")");
  pipes->say("~{\"type\":\"new-credentials\",\"client-id\":\"c\",\"access-token\":\"t\"}\n");
  env.settle();
  EXPECT_EQ(used, std::vector<std::string>{"c"});
}

TEST_F(RunnerTest, ARunnerThatIsSilentOrGoneIsSaidOnce) {
  env.advance(runner_welcome_max * 2);
  EXPECT_NE(log.find("has not said welcome"), std::string::npos) << log;
  pipes->over = true;
  pipes->news.notify_all();
  env.settle();
  EXPECT_NE(log.find("closed its side"), std::string::npos) << log;
  EXPECT_FALSE(env.run(host->shut_down()));
}

TEST_F(RunnerTest, ARunnerThatDoesNotReadIsNotWaitedFor) {
  pipes->full = true;
  welcome(R"("shutdown")");
  EXPECT_FALSE(env.run(host->shut_down())) << "so the machine's own command does it";
}

}  // namespace
}  // namespace gantry::agent
