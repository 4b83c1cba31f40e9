#include "base/async.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/testing/fake_env.h"

namespace gantry {
namespace {

using Lines = std::vector<std::string>;

Async<> wait_and_note(Event& event, std::string name, Lines& lines) {
  co_await event.wait();
  lines.push_back(name);
}

Async<> wait_for_and_note(FakeEnv& env, Event& event, Duration timeout, Lines& lines) {
  bool notified = co_await event.wait_for(env, timeout);
  lines.push_back(notified ? "notified" : "timed out");
}

Async<> sleep_and_note(FakeEnv& env, Duration duration, std::string name, Lines& lines) {
  co_await env.sleep(duration);
  lines.push_back(name);
}

Async<> fail_after(FakeEnv& env, Duration duration) {
  co_await env.sleep(duration);
  throw Error(ErrorCode::unavailable, "broken on purpose");
}

struct AsyncTest : testing::Test {
  FakeEnv env;
  Event event;
  Lines lines;
  Scope scope{env.executor(), "test"};

  ~AsyncTest() override {
    scope.cancel();
    env.run(scope.join());
  }
};

TEST_F(AsyncTest, WaitersGoOnInTheOrderInWhichTheyCame) {
  for (const char* name : {"a", "b", "c"}) scope.spawn(name, wait_and_note(event, name, lines));
  env.settle();
  EXPECT_EQ(event.waiting(), 3u);
  event.notify_one();
  env.settle();
  EXPECT_EQ(lines, Lines({"a"}));
  event.notify_all();
  env.settle();
  EXPECT_EQ(lines, Lines({"a", "b", "c"}));
}

TEST_F(AsyncTest, AnEventHasNoMemory) {
  event.notify_one();
  scope.spawn("late", wait_and_note(event, "late", lines));
  env.settle();
  EXPECT_TRUE(lines.empty());
}

TEST_F(AsyncTest, AWaitEndsByTimeOrByNotice) {
  scope.spawn("short", wait_for_and_note(env, event, seconds(1), lines));
  scope.spawn("long", wait_for_and_note(env, event, seconds(10), lines));
  env.advance(seconds(2));
  EXPECT_EQ(lines, Lines({"timed out"}));
  event.notify_one();  // not for the one that is gone
  env.settle();
  EXPECT_EQ(lines, Lines({"timed out", "notified"}));
}

TEST_F(AsyncTest, NoticeForACancelledWaiterGoesToTheNext) {
  Scope other(env.executor(), "other");
  other.spawn("cancelled", wait_and_note(event, "cancelled", lines));
  env.settle();
  scope.spawn("next", wait_and_note(event, "next", lines));
  env.settle();
  other.cancel();
  env.run(other.join());
  event.notify_one();
  env.settle();
  EXPECT_EQ(lines, Lines({"next"}));
}

TEST_F(AsyncTest, SleepersWakeInOrderOfTime) {
  scope.spawn("late", sleep_and_note(env, seconds(3), "late", lines));
  scope.spawn("early", sleep_and_note(env, seconds(1), "early", lines));
  env.advance(seconds(4));
  EXPECT_EQ(lines, Lines({"early", "late"}));
}

TEST_F(AsyncTest, CancellingAScopeEndsItsSleeps) {
  scope.spawn("never", sleep_and_note(env, hours(1), "never", lines));
  env.settle();
  scope.cancel();
  env.run(scope.join());
  EXPECT_TRUE(lines.empty());
  EXPECT_LT(env.uptime(), hours(1));
}

TEST_F(AsyncTest, AFailureIsLoggedWithItsNameAndEndsNothingElse) {
  Lines logged;
  set_log_sink([&](LogLevel, std::string_view line) { logged.emplace_back(line); });
  scope.spawn("fails", fail_after(env, seconds(1)));
  scope.spawn("lives", sleep_and_note(env, seconds(2), "lives", lines));
  env.advance(seconds(3));
  set_log_sink(nullptr);
  EXPECT_EQ(lines, Lines({"lives"}));
  ASSERT_EQ(logged.size(), 1u);
  EXPECT_NE(logged[0].find("fails ended: broken on purpose"), std::string::npos) << logged[0];
}

}  // namespace
}  // namespace gantry
