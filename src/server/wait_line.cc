#include "server/wait_line.h"

#include <algorithm>

namespace gantry::server {
namespace {

/// Takes the callback back when the wait is over, however it ends.
struct StopWatching {
  std::shared_ptr<net::PeerWatch> watch;
  explicit StopWatching(std::shared_ptr<net::PeerWatch> w) : watch(std::move(w)) {}
  StopWatching(const StopWatching&) = delete;
  StopWatching& operator=(const StopWatching&) = delete;
  ~StopWatching() {
    if (watch) watch->on_gone(nullptr);
  }
};

}  // namespace

Async<Wake> WaitLine::wait(Env& env, Duration timeout, std::shared_ptr<net::PeerWatch> watch,
                           std::function<bool()> able) {
  TimerId timer = 0;
  auto start = [this, &env, timeout, &timer, watch, able = std::move(able)](Resumer<Wake> resume) {
    while (!waiters_.empty() && waiters_.front().resume.done()) waiters_.pop_front();
    waiters_.push_back({resume, able});
    timer = env.call_after(timeout, [resume] { resume(Wake::timed_out); });
    if (watch) watch->on_gone([resume] { resume(Wake::gone); });
  };
  CancelTimer cancel_timer{env, timer};
  StopWatching stop_watching{watch};
  co_return co_await suspend<Wake>(start);
}

void WaitLine::wake_one() {
  std::erase_if(waiters_, [](const Waiter& waiter) { return waiter.resume.done(); });
  auto first = std::ranges::find_if(waiters_, [](const Waiter& waiter) { return !waiter.able || waiter.able(); });
  if (first == waiters_.end()) return;
  Resumer<Wake> resume = std::move(first->resume);
  waiters_.erase(first);
  resume(Wake::woken);
}

void WaitLine::wake_all() {
  for (auto& waiter : std::exchange(waiters_, {})) waiter.resume(Wake::woken);
}

std::size_t WaitLine::waiting() const {
  std::size_t count = 0;
  for (const auto& waiter : waiters_) count += waiter.resume.done() ? 0 : 1;
  return count;
}

}  // namespace gantry::server
