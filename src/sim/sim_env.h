// Virtual time. One VirtualClock a simulation; each simulated process (the server, a worker, a client) has a SimEnv on
// it, with its own timers, its own randomness and its own idea of the wall clock.
//
// Time stands still while anything is ready to run, then jumps to the earliest timer. Equal times are served in the
// order in which the processes were made, then in the order of the calls; so a seed decides everything.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/env.h"
#include "sim/random.h"

namespace gantry::sim {

class SimEnv;

class VirtualClock {
 public:
  /// More than this without time moving is a livelock.
  static constexpr int handlers_per_step_max = 1'000'000;

  std::int64_t now_us() const { return now_us_; }
  asio::io_context& io() { return io_; }

  /// Runs everything that is ready; false if there is no end to it.
  bool run_ready();
  /// Moves to the earliest timer and runs it, outside of any handler; false if there is none up to `until_us`, which
  /// then is the time.
  bool run_next_timer(std::int64_t until_us);

 private:
  friend class SimEnv;

  asio::io_context io_{1};
  std::int64_t now_us_ = 1'000'000;  // not 0, which reads as "never" in places
  std::vector<SimEnv*> envs_;
};

class SimEnv : public Env {
 public:
  SimEnv(VirtualClock& clock, std::uint64_t seed, std::string_view name);
  SimEnv(const SimEnv&) = delete;
  SimEnv& operator=(const SimEnv&) = delete;
  ~SimEnv() override;

  Executor executor() override { return clock_.io_.get_executor(); }
  Time now() override;
  Duration uptime() override { return Duration(clock_.now_us_ / 1000); }
  std::int64_t uptime_us() override { return clock_.now_us_; }
  void random_bytes(std::span<std::uint8_t> out) override;
  TimerId call_after(Duration delay, std::move_only_function<void()> callback) override;
  void cancel_call(TimerId timer) override { timers_.cancel(timer); }
  /// Runs the work a little later, on the one thread that there is.
  void run_blocking(std::move_only_function<void()> work) override;

  TimerId call_after_us(std::int64_t delay_us, std::move_only_function<void()> callback);
  Random& random_source() { return random_; }
  /// The process stands still (SIGSTOP, a suspended machine): its timers wait.
  void pause_until(std::int64_t until_us) { paused_until_us_ = until_us; }
  bool paused() const { return paused_until_us_ > clock_.now_us_; }
  /// The process is dead: no timer of it is run any more, and what was to be done on its blocking pool is not done.
  void kill();
  /// What is done on its blocking pool cannot write to files while this says so.
  void on_disk(std::function<bool()> full) { disk_full_ = std::move(full); }
  /// By how much this process's wall clock is off.
  void set_wall_offset(Duration offset) { wall_offset_ = offset; }
  Duration wall_offset() const { return wall_offset_; }

 private:
  friend class VirtualClock;
  /// When the next timer may run; -1 if there is none.
  std::int64_t next_us() const;

  VirtualClock& clock_;
  Random random_;
  TimerQueue timers_;
  Duration wall_offset_{};
  std::int64_t paused_until_us_ = 0;
  bool dead_ = false;
  std::function<bool()> disk_full_;
};

}  // namespace gantry::sim
