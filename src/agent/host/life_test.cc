#include "agent/host/life.h"

#include <gtest/gtest.h>

#include "agent/testing/agent_world.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

class HostStub : public Host {
 public:
  std::optional<HostNotice> notice;
  bool shuts_down = false;
  std::string reported;
  Event news;

  void give(HostNotice given) {
    notice = std::move(given);
    news.notify_all();
  }
  Async<HostFacts> facts() override { co_return HostFacts(); }
  Async<HostNotice> wait_for_notice() override {
    while (!notice) co_await news.wait();
    co_return *std::exchange(notice, std::nullopt);
  }
  Async<bool> shut_down() override { co_return shuts_down; }
  Async<> report_error(std::string title, std::string description) override {
    reported = title + ": " + description;
    co_return;
  }
};

struct LifeTest : testing::Test {
  LifeTest() {
    set_log_sink([](LogLevel, std::string_view) {});
    settings.enabled = true;
    settings.after_idle = seconds(30);
    settings.command = "";
    settings.observer = [this](std::string_view event, const json::object& fields) {
      events.emplace_back(event);
      if (auto time = fields.if_contains("time")) pending_s = time->as_int64();
    };
  }
  ~LifeTest() override {
    scope.cancel();
    env.run(scope.join());
    set_log_sink(nullptr);
  }
  Life& begin(Duration machine_up = {}) {
    life.emplace(env, settings, host, machine_up, [this] { return load; });
    life->start(scope);
    env.settle();
    return *life;
  }

  FakeEnv env;
  ShutdownSettings settings;
  std::shared_ptr<HostStub> host = std::make_shared<HostStub>();
  Load load;
  std::vector<std::string> events;
  std::int64_t pending_s = 0;
  std::optional<Life> life;
  Scope scope{env.executor(), "test"};
};

TEST_F(LifeTest, AnIdleMachineIsGivenUp) {
  begin();
  EXPECT_EQ(events, (std::vector<std::string>{"worker idle", "pending shutdown"}));
  EXPECT_EQ(pending_s, 30);
  env.advance(seconds(25));
  EXPECT_FALSE(life->ending());
  load = {1, 1};
  env.advance(seconds(60));
  EXPECT_FALSE(life->ending()) << "it works";
  load = {0, 1};
  env.advance(seconds(25));
  load = {0, 2};  // one came and went
  env.advance(seconds(25));
  EXPECT_FALSE(life->ending());
  env.advance(seconds(10));
  ASSERT_TRUE(life->ending());
  EXPECT_EQ(life->ending()->tasks, OnStop::finish) << "one that was claimed in this moment";
  EXPECT_TRUE(life->ending()->machine);
  EXPECT_EQ(events,
            (std::vector<std::string>{"worker idle", "pending shutdown", "cancel pending shutdown", "worker working",
                                      "worker idle", "pending shutdown", "cancel pending shutdown", "worker working",
                                      "worker idle", "pending shutdown", "shutdown"}));
}

TEST_F(LifeTest, ABillingCycleBeginsWithTheMachine) {
  settings.billing_cycle = hours(1);
  begin(minutes(50));
  EXPECT_EQ(pending_s, 480);
  env.advance(seconds(470));
  EXPECT_FALSE(life->ending());
  env.advance(seconds(11));
  EXPECT_TRUE(life->ending());
}

TEST_F(LifeTest, WithoutAShutdownItLivesOn) {
  settings.enabled = false;
  begin();
  env.advance(hours(24));
  EXPECT_FALSE(life->ending());
  EXPECT_EQ(events, std::vector<std::string>{"worker idle"});
}

TEST_F(LifeTest, ANoticeEndsIt) {
  load = {2, 2};
  begin();
  host->give({.finish_tasks = false, .machine = true, .why = "spot"});
  env.settle();
  ASSERT_TRUE(life->ending());
  EXPECT_EQ(life->ending()->tasks, OnStop::hand_back);
  EXPECT_TRUE(life->ending()->machine);
  EXPECT_EQ(life->ending()->why, "spot");
}

TEST_F(LifeTest, ANoticeMayLeaveTimeAndTakeItBack) {
  load = {1, 1};
  begin();
  host->give({.finish_tasks = true, .machine = false, .why = "a new image"});
  env.settle();
  ASSERT_TRUE(life->ending());
  EXPECT_EQ(life->ending()->tasks, OnStop::finish);
  bool hasty = false;
  auto watch = [](Life* watched, bool* done) -> Async<> {
    co_await watched->wait_for_haste();
    *done = true;
  };
  scope.spawn("haste", watch(&*life, &hasty));
  env.settle();
  host->give({.finish_tasks = true, .machine = false, .why = ""});
  env.advance(seconds(10));
  EXPECT_FALSE(hasty);
  host->give({.finish_tasks = false, .machine = false, .why = ""});
  env.settle();
  EXPECT_TRUE(hasty);
}

TEST_F(LifeTest, TheMachineIsGivenUpByItsHostOrByACommand) {
  TemporaryDirectory directory;
  std::string file = directory.file("down");
  settings.command = "echo going; touch " + file;
  host->shuts_down = true;
  EXPECT_EQ(env.run(begin().shut_down()), 0);
  EXPECT_FALSE(std::filesystem::exists(file));
  host->shuts_down = false;
  EXPECT_EQ(env.run(life->shut_down()), 0);
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(LifeTest, ACommandThatFailsIsReported) {
  settings.command = "exit 7";
  EXPECT_EQ(env.run(begin().shut_down()), 7);
  EXPECT_NE(host->reported.find("exit code 7"), std::string::npos) << host->reported;
}

TEST_F(LifeTest, SettingsThatCannotBeAreRefused) {
  settings.billing_cycle = seconds(60);
  EXPECT_THROW(begin(), Error);
}

}  // namespace
}  // namespace gantry::agent
