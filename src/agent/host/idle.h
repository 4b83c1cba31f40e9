// When an idle machine is given up (taskcluster.md 1.14). Pure: the times are handed in.
#pragma once

#include <optional>

#include "agent/settings.h"

namespace gantry::agent {

/// How long an agent that begins to be idle now waits before the machine is given up; always more than 0. `machine_up`
/// is how long the machine has been paid for. Without a billing cycle: after_idle. With one: until cycle_margin before
/// the end of the cycle, of the next one if that is past.
Duration wait_before_shutdown(const ShutdownSettings& settings, Duration machine_up);

/// Throws Error(invalid_input): a margin that does not fit into its cycle, times that are negative.
void check(const ShutdownSettings& settings);

class IdleClock {
 public:
  /// Of settings that check() has let pass. Begins as working.
  explicit IdleClock(const ShutdownSettings& settings) : settings_(settings) {}

  /// It works (again). True if a shutdown that was pending is not any more.
  bool busy();
  /// It has nothing to do. If that is news, the wait before the shutdown; it was known or there is no shutdown,
  /// nothing.
  std::optional<Duration> idle(Duration machine_up);
  bool is_idle() const { return idle_; }
  /// Whether the machine is to be given up now.
  bool due(Duration machine_up) const { return due_at_ && machine_up >= *due_at_; }

 private:
  ShutdownSettings settings_;
  bool idle_ = false;
  std::optional<Duration> due_at_;  // as machine_up
};

}  // namespace gantry::agent
