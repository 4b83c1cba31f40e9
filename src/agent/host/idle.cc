#include "agent/host/idle.h"

#include "base/error.h"

namespace gantry::agent {

Duration wait_before_shutdown(const ShutdownSettings& settings, Duration machine_up) {
  if (settings.billing_cycle <= Duration::zero()) return std::max(settings.after_idle, Duration(1));
  Duration left = settings.billing_cycle - machine_up % settings.billing_cycle;
  Duration wait = left - settings.cycle_margin;
  return wait > Duration::zero() ? wait : wait + settings.billing_cycle;
}

void check(const ShutdownSettings& settings) {
  bool negative = settings.after_idle < Duration::zero() || settings.billing_cycle < Duration::zero() ||
                  settings.cycle_margin < Duration::zero();
  if (negative) throw Error(ErrorCode::invalid_input, "the times of an idle machine's shutdown cannot be negative");
  if (settings.billing_cycle > Duration::zero() && settings.cycle_margin >= settings.billing_cycle) {
    throw Error(ErrorCode::invalid_input, "the margin before the end of a billing cycle is as long as the cycle",
                "choose a shorter margin");
  }
}

bool IdleClock::busy() {
  bool was_pending = due_at_.has_value();
  idle_ = false;
  due_at_.reset();
  return was_pending;
}

std::optional<Duration> IdleClock::idle(Duration machine_up) {
  if (idle_) return std::nullopt;
  idle_ = true;
  if (!settings_.enabled) return std::nullopt;
  Duration wait = wait_before_shutdown(settings_, machine_up);
  due_at_ = machine_up + wait;
  return wait;
}

}  // namespace gantry::agent
