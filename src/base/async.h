// Coroutines. Async<T> is Asio's awaitable on the process's one io_context thread (design 3.15); suspend() is the one
// primitive by which anything of ours waits; Event and Scope are built on it.
//
// Rules: parameters by value or owned; no lambda coroutine with captures; no co_await inside catch; nothing detached.
// All of this file belongs to the io_context thread.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/error.h"
#include "base/time.h"

namespace gantry {

class Env;

namespace asio = boost::asio;

using Executor = asio::io_context::executor_type;
template <class T = void>
using Async = asio::awaitable<T, Executor>;
inline constexpr asio::use_awaitable_t<Executor> use_async{};

/// Wakes one suspended coroutine. The first call wins, later ones do nothing; copies share the one wake-up. The
/// coroutine goes on from the io_context's queue, never inside the call.
template <class T>
class Resumer {
 public:
  using Handler = std::move_only_function<void(std::exception_ptr, T)>;

  explicit Resumer(Executor executor) : shared_(std::make_shared<Shared>(Shared{executor, {}})) {}

  void operator()(T value) const { finish(nullptr, std::move(value)); }
  void fail(std::exception_ptr exception) const { finish(std::move(exception), T()); }
  bool done() const { return !shared_->handler; }

  void set_handler(Handler handler) const { shared_->handler = std::move(handler); }

 private:
  struct Shared {
    Executor executor;
    Handler handler;
  };

  void finish(std::exception_ptr exception, T value) const {
    if (!shared_->handler) return;
    asio::post(shared_->executor, [handler = std::move(shared_->handler), exception = std::move(exception),
                                   value = std::move(value)]() mutable { handler(exception, std::move(value)); });
    shared_->handler = nullptr;
  }

  std::shared_ptr<Shared> shared_;
};

/// Suspends the caller and calls `start(Resumer<T>)`, which keeps the resumer and calls it once the wait is over. If
/// the caller is cancelled, the wait ends with operation_aborted; the resumer then does nothing.
template <class T, class Start>
Async<T> suspend(Start start) {
  auto executor = co_await asio::this_coro::executor;
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<Executor>&, void(std::exception_ptr, T)>(
      [](auto handler, Executor where, Start begin) {
        Resumer<T> resumer(where);
        auto slot = asio::get_associated_cancellation_slot(handler);
        resumer.set_handler([h = std::move(handler)](std::exception_ptr e, T value) mutable {
          std::move(h)(std::move(e), std::move(value));
        });
        if (slot.is_connected()) {
          slot.assign([resumer](asio::cancellation_type) {
            resumer.fail(std::make_exception_ptr(boost::system::system_error(asio::error::operation_aborted)));
          });
        }
        begin(resumer);
      },
      use_async, executor, std::move(start));
}

/// Lets every other ready coroutine run before the caller goes on.
Async<> yield_now();

/// What coroutines wait for: the waiters are first in, first out. It has no memory: a notify with no waiter does
/// nothing, so check the condition, then wait, in a loop.
class Event {
 public:
  /// Until notified.
  Async<> wait();
  /// Until notified (true) or until `timeout` has passed (false).
  Async<bool> wait_for(Env& env, Duration timeout);
  void notify_one();
  void notify_all();
  std::size_t waiting() const;

 private:
  void enqueue(Resumer<bool> waiter);
  std::deque<Resumer<bool>> waiters_;
};

/// Owns coroutines: every spawned one is in a scope, and the scope's owner joins it before it goes away. A coroutine
/// that throws ends alone; its error is logged unless it was cancelled.
class Scope {
 public:
  Scope(Executor executor, std::string name);
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  /// Asserts that nothing runs any more.
  ~Scope();

  void spawn(std::string name, Async<> work);
  /// Asks every child to stop: its current wait throws operation_aborted.
  void cancel();
  /// Until no child is left.
  Async<> join();
  std::size_t size() const { return children_.size(); }

 private:
  struct Child {
    std::string name;
    asio::cancellation_signal stop;
  };
  void finished(std::list<Child>::iterator child, const std::exception_ptr& exception);

  Executor executor_;
  std::string name_;
  std::list<Child> children_;
  Event idle_;
};

}  // namespace gantry
