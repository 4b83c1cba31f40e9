#include "sim/sim_env.h"

#include <gtest/gtest.h>

namespace gantry::sim {
namespace {

/// Runs everything up to `until_us`.
void run(VirtualClock& clock, std::int64_t until_us) {
  ASSERT_TRUE(clock.run_ready());
  while (clock.run_next_timer(until_us)) ASSERT_TRUE(clock.run_ready());
}

TEST(SimEnv, TimersRunInOrderOfTimeThenOfTheCalls) {
  VirtualClock clock;
  SimEnv env(clock, 1, "a");
  std::string order;
  env.call_after(milliseconds(20), [&] { order += '3'; });
  env.call_after(milliseconds(10), [&] { order += '1'; });
  env.call_after(milliseconds(10), [&] { order += '2'; });
  run(clock, clock.now_us() + 1'000'000);
  EXPECT_EQ(order, "123");
}

TEST(SimEnv, TimeStandsStillUntilATimerIsDue) {
  VirtualClock clock;
  SimEnv env(clock, 1, "a");
  Duration began = env.uptime();
  Duration seen{};
  env.call_after(hours(5), [&] { seen = env.uptime(); });
  run(clock, clock.now_us() + Duration(hours(10)).count() * 1000);
  EXPECT_EQ(seen - began, hours(5));
  EXPECT_EQ(env.uptime() - began, hours(10));
}

TEST(SimEnv, ACancelledCallIsNotMade) {
  VirtualClock clock;
  SimEnv env(clock, 1, "a");
  bool called = false;
  TimerId timer = env.call_after(seconds(1), [&] { called = true; });
  env.cancel_call(timer);
  run(clock, clock.now_us() + 5'000'000);
  EXPECT_FALSE(called);
}

TEST(SimEnv, APausedProcessRunsItsTimersLaterAndInOrder) {
  VirtualClock clock;
  SimEnv paused(clock, 1, "paused");
  SimEnv other(clock, 1, "other");
  std::string order;
  paused.call_after(seconds(1), [&] { order += 'a'; });
  paused.call_after(seconds(2), [&] { order += 'b'; });
  other.call_after(seconds(5), [&] { order += 'x'; });
  paused.pause_until(clock.now_us() + 10'000'000);
  run(clock, clock.now_us() + 20'000'000);
  EXPECT_EQ(order, "xab");
}

TEST(SimEnv, ADeadProcessRunsNothing) {
  VirtualClock clock;
  SimEnv env(clock, 1, "a");
  bool called = false;
  env.call_after(seconds(1), [&] { called = true; });
  env.kill();
  run(clock, clock.now_us() + 5'000'000);
  EXPECT_FALSE(called);
}

TEST(SimEnv, BlockingWorkAnswersItsCaller) {
  VirtualClock clock;
  SimEnv env(clock, 1, "a");
  Scope scope(env.executor(), "test");
  int result = 0;
  struct Body {
    static Async<> run(Env& env, int& result) {
      auto work = [] { return 42; };
      result = co_await env.blocking(work);
    }
  };
  scope.spawn("body", Body::run(env, result));
  run(clock, clock.now_us() + 1'000'000);
  EXPECT_EQ(result, 42);
  EXPECT_EQ(scope.size(), 0u);
}

TEST(SimEnv, ALivelockIsNoticed) {
  VirtualClock clock;
  SimEnv env(clock, 1, "a");
  std::function<void()> again = [&] { asio::post(env.executor(), again); };
  asio::post(env.executor(), again);
  EXPECT_FALSE(clock.run_ready());
}

TEST(SimEnv, RandomnessFollowsFromSeedAndName) {
  VirtualClock clock;
  SimEnv first(clock, 7, "a");
  SimEnv same(clock, 7, "a");
  SimEnv other_name(clock, 7, "b");
  SimEnv other_seed(clock, 8, "a");
  std::uint64_t number = first.random();
  EXPECT_EQ(number, same.random());
  EXPECT_NE(number, other_name.random());
  EXPECT_NE(number, other_seed.random());
}

}  // namespace
}  // namespace gantry::sim
