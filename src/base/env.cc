#include "base/env.h"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace gantry {

Async<> Env::sleep(Duration duration) {
  TimerId timer = 0;
  auto start = [this, duration, &timer](Resumer<bool> resume) {
    timer = call_after(duration, [resume] { resume(true); });
  };
  CancelTimer cancel_timer{*this, timer};
  co_await suspend<bool>(start);
}

std::uint64_t Env::random() {
  std::uint64_t value = 0;
  random_bytes({reinterpret_cast<std::uint8_t*>(&value), sizeof value});
  return value;
}

TimerId TimerQueue::add(std::int64_t at_us, std::move_only_function<void()> callback) {
  TimerId timer = ++last_;
  calls_.emplace(std::pair(at_us, timer), std::move(callback));
  times_.emplace(timer, at_us);
  return timer;
}

void TimerQueue::cancel(TimerId timer) {
  auto time = times_.find(timer);
  if (time == times_.end()) return;
  calls_.erase({time->second, timer});
  times_.erase(time);
}

std::move_only_function<void()> TimerQueue::pop() {
  auto first = calls_.begin();
  auto callback = std::move(first->second);
  times_.erase(first->first.second);
  calls_.erase(first);
  return callback;
}

SystemEnv::SystemEnv(asio::io_context& io, int blocking_threads)
    : io_(io), timer_(io.get_executor()), pool_(static_cast<std::size_t>(blocking_threads)) {}

SystemEnv::~SystemEnv() {
  pool_.stop();
  pool_.join();
}

Time SystemEnv::now() { return std::chrono::floor<Duration>(std::chrono::system_clock::now()); }

Duration SystemEnv::uptime() { return Duration(uptime_us() / 1000); }

std::int64_t SystemEnv::uptime_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void SystemEnv::random_bytes(std::span<std::uint8_t> out) {
  auto generate = [](std::span<std::uint8_t> bytes) {
    int ok = RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
    GANTRY_ASSERT(ok == 1);
  };
  // A call of the generator costs a microsecond, whatever it is asked for: small wishes share one.
  if (out.size() >= random_.size()) return generate(out);
  if (random_left_ < out.size()) {
    generate(random_);
    random_left_ = random_.size();
  }
  random_left_ -= out.size();
  std::uint8_t* from = random_.data() + random_left_;
  std::copy_n(from, out.size(), out.data());
  OPENSSL_cleanse(from, out.size());
}

TimerId SystemEnv::call_after(Duration delay, std::move_only_function<void()> callback) {
  std::int64_t at = uptime_us() + std::max<std::int64_t>(delay.count(), 0) * 1000;
  TimerId timer = timers_.add(at, std::move(callback));
  if (armed_us_ < 0 || at < armed_us_) arm();
  return timer;
}

void SystemEnv::arm() {
  armed_us_ = -1;
  if (timers_.empty()) {
    timer_.cancel();
    return;
  }
  armed_us_ = timers_.next_us();
  timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::microseconds(armed_us_)));
  timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    armed_us_ = -1;
    std::int64_t now = uptime_us();
    while (!timers_.empty() && timers_.next_us() <= now) timers_.pop()();
    arm();
  });
}

void SystemEnv::run_blocking(std::move_only_function<void()> work) {
  auto shared = std::make_shared<std::move_only_function<void()>>(std::move(work));
  asio::post(pool_, [shared] { (*shared)(); });
}

}  // namespace gantry
