#include "base/async.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

#include "base/env.h"
#include "base/log.h"

namespace gantry {

Async<> yield_now() {
  co_await suspend<bool>([](Resumer<bool> resume) { resume(true); });
}

Async<> Event::wait() {
  co_await suspend<bool>([this](Resumer<bool> resume) { enqueue(std::move(resume)); });
}

void Event::enqueue(Resumer<bool> waiter) {
  while (!waiters_.empty() && waiters_.front().done()) waiters_.pop_front();
  waiters_.push_back(std::move(waiter));
}

Async<bool> Event::wait_for(Env& env, Duration timeout) {
  TimerId timer = 0;
  auto start = [this, &env, timeout, &timer](Resumer<bool> resume) {
    enqueue(resume);
    timer = env.call_after(timeout, [resume] { resume(false); });
  };
  CancelTimer cancel_timer{env, timer};
  co_return co_await suspend<bool>(start);
}

void Event::notify_one() {
  while (!waiters_.empty()) {
    Resumer<bool> waiter = std::move(waiters_.front());
    waiters_.pop_front();
    if (waiter.done()) continue;  // timed out or cancelled while it stood in line
    waiter(true);
    return;
  }
}

void Event::notify_all() {
  std::deque<Resumer<bool>> waiters;
  waiters.swap(waiters_);
  for (auto& waiter : waiters) waiter(true);
}

std::size_t Event::waiting() const {
  std::size_t count = 0;
  for (const auto& waiter : waiters_) count += waiter.done() ? 0 : 1;
  return count;
}

Scope::Scope(Executor executor, std::string name) : executor_(executor), name_(std::move(name)) {}

Scope::~Scope() { GANTRY_ASSERT(children_.empty()); }

void Scope::spawn(std::string name, Async<> work) {
  auto child = children_.emplace(children_.end());
  child->name = std::move(name);
  asio::co_spawn(executor_, std::move(work),
                 asio::bind_cancellation_slot(
                     child->stop.slot(), [this, child](std::exception_ptr exception) { finished(child, exception); }));
}

void Scope::finished(std::list<Child>::iterator child, const std::exception_ptr& exception) {
  if (exception && !is_cancelled(exception)) {
    log_error("{}: {} ended: {}", name_, child->name, error_of(exception).message());
  }
  children_.erase(child);
  if (children_.empty()) idle_.notify_all();
}

void Scope::cancel() {
  std::vector<std::list<Child>::iterator> stopping;
  for (auto child = children_.begin(); child != children_.end(); ++child) stopping.push_back(child);
  for (auto& child : stopping) child->stop.emit(asio::cancellation_type::terminal);
}

Async<> Scope::join() {
  while (!children_.empty()) co_await idle_.wait();
}

}  // namespace gantry
