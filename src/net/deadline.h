// A limit on how long a coroutine may wait: when it passes, it breaks off whatever it was told to.
#pragma once

#include "base/env.h"

namespace gantry::net {

class Deadline {
 public:
  Deadline(Env& env, Duration timeout)
      : env_(env), timer_(env.call_after(timeout, [this] {
          expired_ = true;
          if (break_off_) break_off_();
        })) {}
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { env_.cancel_call(timer_); }

  bool expired() const { return expired_; }
  /// What ends the current wait; replaces what did before. Called at once if it is too late already.
  void breaks_off(std::function<void()> what) {
    break_off_ = std::move(what);
    if (expired_) break_off_();
  }

 private:
  Env& env_;
  bool expired_ = false;
  std::function<void()> break_off_;
  TimerId timer_;
};

}  // namespace gantry::net
