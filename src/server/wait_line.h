// Where requests wait for news (a claim for a task, a poll for a cancel, a client for a task's end): first in, first
// out, each with a time limit and an eye on whether its client is still there.
//
// io_context thread only.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "base/env.h"
#include "net/http.h"

namespace gantry::server {

enum class Wake { timed_out, woken, gone };

class WaitLine {
 public:
  /// `watch` may be null. `able` says whether being woken alone is of any use at that moment; without it, always. The
  /// line must outlive the wait.
  Async<Wake> wait(Env& env, Duration timeout, std::shared_ptr<net::PeerWatch> watch,
                   std::function<bool()> able = nullptr);
  /// The first who is able; the others keep their places.
  void wake_one();
  void wake_all();
  std::size_t waiting() const;

 private:
  struct Waiter {
    Resumer<Wake> resume;
    std::function<bool()> able;
  };
  std::deque<Waiter> waiters_;
};

}  // namespace gantry::server
