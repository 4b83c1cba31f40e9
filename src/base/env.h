// The world, as far as time, randomness and blocking work go. server/, agent/ and cli/ get these from here and nowhere
// else (a tidy test checks), so that the simulator can run them on a virtual clock from a seed.
//
// Everything here belongs to the io_context thread, except where a comment says otherwise.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <span>
#include <unordered_map>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/async.h"
#include "base/time.h"

namespace gantry {

using TimerId = std::uint64_t;

class Env {
 public:
  virtual ~Env() = default;

  virtual Executor executor() = 0;
  /// Wall clock; may jump. For timestamps and for what others are told.
  virtual Time now() = 0;
  /// Since an arbitrary moment; never runs back. For waits and measured durations.
  virtual Duration uptime() = 0;
  /// Microseconds of the same clock, for measuring.
  virtual std::int64_t uptime_us() = 0;
  /// Unpredictable bytes (a generator from the seed in the simulator).
  virtual void random_bytes(std::span<std::uint8_t> out) = 0;
  /// Calls `callback` from the io_context once `delay` has passed; a negative delay is zero.
  virtual TimerId call_after(Duration delay, std::move_only_function<void()> callback) = 0;
  /// Forgets a call that has not been made yet; an unknown id is ignored.
  virtual void cancel_call(TimerId timer) = 0;
  /// Runs `work` off the io_context thread. `work` must not touch state of that thread.
  virtual void run_blocking(std::move_only_function<void()> work) = 0;

  Async<> sleep(Duration duration);
  std::uint64_t random();
  /// Runs `function` on the blocking pool and returns what it returned, or throws what it threw. If the caller is
  /// cancelled meanwhile, the function still runs to its end: it must own what it uses.
  template <class Function>
  auto blocking(Function function) -> Async<std::invoke_result_t<Function>>;
};

/// Cancels a timer when the wait that owns it is over, however it ends.
struct CancelTimer {
  Env& env;
  TimerId& timer;
  CancelTimer(Env& e, TimerId& t) : env(e), timer(t) {}
  CancelTimer(const CancelTimer&) = delete;
  CancelTimer& operator=(const CancelTimer&) = delete;
  ~CancelTimer() { env.cancel_call(timer); }
};

/// Calls ordered by time, then by insertion; shared by the real and the simulated Env.
class TimerQueue {
 public:
  TimerId add(std::int64_t at_us, std::move_only_function<void()> callback);
  void cancel(TimerId timer);
  bool empty() const { return calls_.empty(); }
  std::int64_t next_us() const { return calls_.begin()->first.first; }
  /// Removes and returns the earliest call.
  std::move_only_function<void()> pop();

 private:
  std::map<std::pair<std::int64_t, TimerId>, std::move_only_function<void()>> calls_;
  std::unordered_map<TimerId, std::int64_t> times_;
  TimerId last_ = 0;
};

/// The real world: the system's clocks, /dev/urandom's generator, a thread pool.
class SystemEnv : public Env {
 public:
  explicit SystemEnv(asio::io_context& io, int blocking_threads = 4);
  ~SystemEnv() override;

  Executor executor() override { return io_.get_executor(); }
  Time now() override;
  Duration uptime() override;
  std::int64_t uptime_us() override;
  void random_bytes(std::span<std::uint8_t> out) override;
  TimerId call_after(Duration delay, std::move_only_function<void()> callback) override;
  void cancel_call(TimerId timer) override { timers_.cancel(timer); }
  void run_blocking(std::move_only_function<void()> work) override;

 private:
  void arm();

  asio::io_context& io_;
  asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor> timer_;
  std::int64_t armed_us_ = -1;  // when timer_ fires; -1 if it is not armed
  TimerQueue timers_;
  std::array<std::uint8_t, 512> random_;  // the generator's, each byte given out once
  std::size_t random_left_ = 0;
  asio::thread_pool pool_;
};

template <class Function>
auto Env::blocking(Function function) -> Async<std::invoke_result_t<Function>> {
  using Value = std::invoke_result_t<Function>;
  struct Outcome {
    std::exception_ptr exception;
    std::conditional_t<std::is_void_v<Value>, bool, std::optional<Value>> value{};
  };
  auto outcome = std::make_shared<Outcome>();
  auto start = [this, outcome, f = std::move(function)](Resumer<bool> resume) mutable {
    auto work = asio::make_work_guard(executor());
    run_blocking([outcome, resume, where = executor(), work = std::move(work), f = std::move(f)]() mutable {
      try {
        if constexpr (std::is_void_v<Value>) {
          f();
        } else {
          outcome->value.emplace(f());
        }
      } catch (...) {
        outcome->exception = std::current_exception();
      }
      // The outcome goes along: what it holds is released on the io_context thread, like everything of the caller's.
      asio::post(where, [resume = std::move(resume), outcome = std::move(outcome)] { resume(true); });
    });
  };
  co_await suspend<bool>(std::move(start));
  if (outcome->exception) std::rethrow_exception(outcome->exception);
  if constexpr (!std::is_void_v<Value>) co_return std::move(*outcome->value);
}

}  // namespace gantry
