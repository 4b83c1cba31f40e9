// For tests: an Env on a virtual clock. Nothing waits for real: when no coroutine can go on, the clock jumps to the
// next timer. "Blocking" work runs on the same thread, later. The same test always takes the same course.
#pragma once

#include <optional>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/env.h"

namespace gantry {

/// When virtual time starts: 2026-11-20T00:00:00Z.
inline constexpr Time fake_start{Duration(1'795'132'800'000)};

class FakeEnv : public Env {
 public:
  Executor executor() override { return io_.get_executor(); }
  Time now() override { return fake_start + uptime() + skew; }
  Duration uptime() override { return Duration(us_ / 1000); }
  std::int64_t uptime_us() override { return us_; }
  void random_bytes(std::span<std::uint8_t> out) override {
    for (auto& byte : out) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<std::uint8_t>(random_ >> 56);
    }
  }
  TimerId call_after(Duration delay, std::move_only_function<void()> callback) override {
    return timers_.add(us_ + std::max<std::int64_t>(delay.count(), 0) * 1000, std::move(callback));
  }
  void cancel_call(TimerId timer) override { timers_.cancel(timer); }
  void run_blocking(std::move_only_function<void()> work) override {
    auto shared = std::make_shared<std::move_only_function<void()>>(std::move(work));
    asio::post(io_, [shared] { (*shared)(); });
  }

  /// Lets things happen until `done`; throws if nothing happens any more.
  void run_until(const std::function<bool()>& done) {
    for (int step = 0; !done(); ++step) {
      if (step > steps_max) throw std::runtime_error("the awaited condition does not come true");
      if (io_.stopped()) io_.restart();
      if (io_.poll_one() > 0) continue;
      if (timers_.empty()) throw std::runtime_error("nothing happens any more");
      us_ = std::max(us_, timers_.next_us());
      timers_.pop()();
    }
  }
  /// Lets virtual time pass.
  void advance(Duration duration) {
    bool over = false;
    call_after(duration, [&over] { over = true; });
    run_until([&over] { return over; });
    settle();
  }
  /// Lets everything happen that needs no time.
  void settle() {
    if (io_.stopped()) io_.restart();
    io_.poll();
  }

  /// A coroutine that runs while the test goes on.
  template <class T>
  struct Running {
    bool done = false;
    std::exception_ptr exception;
    std::optional<T> value;
    T take() {
      if (exception) std::rethrow_exception(exception);
      return std::move(*value);
    }
  };
  template <class T>
  std::shared_ptr<Running<T>> start(Async<T> work) {
    auto running = std::make_shared<Running<T>>();
    asio::co_spawn(executor(), std::move(work), [running](std::exception_ptr exception, T value) {
      running->exception = exception;
      running->value.emplace(std::move(value));
      running->done = true;
    });
    settle();
    return running;
  }
  template <class T>
  T finish(std::shared_ptr<Running<T>> running) {
    run_until([&] { return running->done; });
    return running->take();
  }
  template <class T>
  T run(Async<T> work) {
    return finish(start(std::move(work)));
  }
  void run(Async<> work) { run(with_value(std::move(work))); }

  /// By how much the wall clock is off; it may jump.
  Duration skew{};

 private:
  static constexpr int steps_max = 10'000'000;
  static Async<bool> with_value(Async<> work) {
    co_await std::move(work);
    co_return true;
  }

  TimerQueue timers_;
  std::int64_t us_ = 0;
  std::uint64_t random_ = 1;
  asio::io_context io_{1};  // last: coroutines that are left in it cancel their timers
};

}  // namespace gantry
