#include "base/env.h"

#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/fake_env.h"

namespace gantry {
namespace {

TEST(TimerQueue, CallsComeByTimeThenByInsertion) {
  TimerQueue timers;
  std::string order;
  timers.add(20, [&] { order += 'c'; });
  timers.add(10, [&] { order += 'a'; });
  timers.add(10, [&] { order += 'b'; });
  TimerId cancelled = timers.add(5, [&] { order += 'x'; });
  timers.cancel(cancelled);
  timers.cancel(cancelled + 100);
  EXPECT_EQ(timers.next_us(), 10);
  while (!timers.empty()) timers.pop()();
  EXPECT_EQ(order, "abc");
}

Async<std::thread::id> thread_of_blocking_work(Env& env) {
  co_return co_await env.blocking([] { return std::this_thread::get_id(); });
}

Async<int> failing_work(Env& env) {
  co_return co_await env.blocking([]() -> int { throw Error(ErrorCode::corrupt, "from the pool"); });
}

template <class T>
T run_for_real(asio::io_context& io, Async<T> work) {
  std::optional<T> result;
  std::exception_ptr failure;
  asio::co_spawn(io, std::move(work), [&](std::exception_ptr exception, T value) {
    failure = exception;
    result = std::move(value);
    io.stop();
  });
  io.run();
  io.restart();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

TEST(SystemEnv, BlockingWorkRunsOnAnotherThread) {
  asio::io_context io{1};
  SystemEnv env(io, 1);
  EXPECT_NE(run_for_real(io, thread_of_blocking_work(env)), std::this_thread::get_id());
}

TEST(SystemEnv, BlockingWorkThrowsToItsCaller) {
  asio::io_context io{1};
  SystemEnv env(io, 1);
  try {
    run_for_real(io, failing_work(env));
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt);
    EXPECT_EQ(error.message(), "from the pool");
  }
}

Async<std::string> order_of_timers(Env& env) {
  std::string order;
  env.call_after(milliseconds(20), [&] { order += 'b'; });
  env.call_after(milliseconds(5), [&] { order += 'a'; });
  TimerId never = env.call_after(milliseconds(1), [&] { order += 'x'; });
  env.cancel_call(never);
  co_await env.sleep(milliseconds(30));
  co_return order;
}

TEST(SystemEnv, TimersFireInOrderAndCancelledOnesNever) {
  asio::io_context io{1};
  SystemEnv env(io, 1);
  EXPECT_EQ(run_for_real(io, order_of_timers(env)), "ab");
}

TEST(SystemEnv, UptimeNeverRunsBackAndRandomnessVaries) {
  asio::io_context io{1};
  SystemEnv env(io, 1);
  std::int64_t before = env.uptime_us();
  EXPECT_GE(env.uptime_us(), before);
  EXPECT_NE(env.random(), env.random());
}

TEST(FakeEnv, TimeJumpsToTheNextTimer) {
  FakeEnv env;
  env.run(env.sleep(hours(24)));
  EXPECT_EQ(env.uptime(), hours(24));
  EXPECT_EQ(env.now(), fake_start + hours(24));
}

TEST(SystemEnv, NeverGivesTheSameRandomBytesTwice) {
  asio::io_context io;
  SystemEnv env(io);
  std::set<std::vector<std::uint8_t>> seen;
  // Sizes that end in the middle of its block, at its end, and beyond it.
  for (int round = 0; round < 100; ++round) {
    for (std::size_t size : {16, 32, 17, 511, 512, 1000}) {
      std::vector<std::uint8_t> bytes(size);
      env.random_bytes(bytes);
      for (std::size_t at = 0; at + 16 <= size; at += 16) {
        auto from = bytes.begin() + static_cast<std::ptrdiff_t>(at);
        EXPECT_TRUE(seen.emplace(from, from + 16).second);
      }
    }
  }
}

}  // namespace
}  // namespace gantry
