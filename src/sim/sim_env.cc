#include "sim/sim_env.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>

#include <sys/resource.h>

namespace gantry::sim {
namespace {

constexpr std::int64_t epoch_ms = 1'767'225'600'000;  // 2026-01-01T00:00:00Z
constexpr std::int64_t blocking_us_max = 2'000;

/// While it lives, no write to a file succeeds in this process.
class FullDisk {
 public:
  FullDisk() {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

bool VirtualClock::run_ready() {
  io_.restart();
  for (int count = 0; count < handlers_per_step_max; ++count) {
    if (io_.poll_one() == 0) return true;
  }
  return false;
}

bool VirtualClock::run_next_timer(std::int64_t until_us) {
  SimEnv* first = nullptr;
  std::int64_t first_us = 0;
  for (SimEnv* env : envs_) {
    std::int64_t next = env->next_us();
    if (next < 0 || (first && next >= first_us)) continue;
    first = env;
    first_us = next;
  }
  if (!first || first_us > until_us) {
    now_us_ = std::max(now_us_, until_us);
    return false;
  }
  now_us_ = std::max(now_us_, first_us);
  auto callback = first->timers_.pop();
  callback();
  return true;
}

SimEnv::SimEnv(VirtualClock& clock, std::uint64_t seed, std::string_view name) : clock_(clock), random_(seed, name) {
  clock_.envs_.push_back(this);
}

SimEnv::~SimEnv() { std::erase(clock_.envs_, this); }

Time SimEnv::now() { return time_from_ms(epoch_ms + clock_.now_us_ / 1000) + wall_offset_; }

void SimEnv::random_bytes(std::span<std::uint8_t> out) {
  for (std::size_t at = 0; at < out.size(); at += 8) {
    std::uint64_t word = random_.next();
    std::memcpy(out.data() + at, &word, std::min<std::size_t>(8, out.size() - at));
  }
}

TimerId SimEnv::call_after(Duration delay, std::move_only_function<void()> callback) {
  // Rounded up, so that a wait is never over before a clock in milliseconds says so.
  std::int64_t at_ms = clock_.now_us_ / 1000 + std::max<std::int64_t>(delay.count(), 0);
  return timers_.add(std::max(at_ms * 1000, clock_.now_us_), std::move(callback));
}

TimerId SimEnv::call_after_us(std::int64_t delay_us, std::move_only_function<void()> callback) {
  return timers_.add(clock_.now_us_ + std::max<std::int64_t>(delay_us, 0), std::move(callback));
}

void SimEnv::run_blocking(std::move_only_function<void()> work) {
  if (dead_) return;  // dropped, as what was begun before
  call_after_us(random_.between(0, blocking_us_max), [this, work = std::move(work)]() mutable {
    std::optional<FullDisk> full;
    if (disk_full_ && disk_full_()) full.emplace();
    work();
  });
}

void SimEnv::kill() {
  dead_ = true;
  // Dropped, not only ignored: what a piece of work holds is free again, as it is when a process ends.
  TimerQueue dropped = std::exchange(timers_, TimerQueue());
}

std::int64_t SimEnv::next_us() const {
  if (dead_ || timers_.empty()) return -1;
  return std::max(timers_.next_us(), paused_until_us_);
}

}  // namespace gantry::sim
