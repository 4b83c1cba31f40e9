// What the server's clock says, as far as its answers tell: a machine whose own clock is wrong still signs requests
// that the server takes, and keeps the server's deadlines.
//
// Each answer has a Date header, by whole seconds. So an answer says that the server's clock, less ours, lies in an
// interval: at least Date less when it arrived, at most a little more than Date less when its request was sent. The
// intervals of the last clock_samples_max answers are cut with each other; one that contradicts the others (a clock was
// set) replaces them. Below clock_drift_min nothing is said and nothing is compensated.
//
// A Date is believed as far as the connection is: over http, whoever can change answers can change this too.
//
// io_context thread only.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"

namespace gantry::agent {

inline constexpr Duration clock_drift_min = seconds(2);
inline constexpr std::size_t clock_samples_max = 16;
/// What the server's time may be past its Date header: it has whole seconds, and is made anew once a second.
inline constexpr Duration date_step = seconds(2);

/// "Fri, 20 Nov 2026 06:41:03 GMT" (RFC 9110, the form that is sent today); nothing if it is not that.
std::optional<Time> parse_http_date(std::string_view text);

class ServerClock {
 public:
  explicit ServerClock(Env& env) : env_(env) {}
  /// From now on a drift is logged, once as long as it lasts. One clock of a process does that.
  void tell() { tells_ = true; }

  /// An answer that came just now, to a request sent `taken` before. Anything but a date is ignored.
  void heard(Duration taken, std::string_view date);
  /// The server's time; this machine's own while no drift is known.
  Time now() const { return env_.now() - ahead(); }
  /// By how much this machine's clock is ahead of the server's; behind if negative; 0 if it is about right.
  Duration ahead() const { return ahead_; }

 private:
  struct Interval {
    Duration low;
    Duration high;
  };
  Interval common() const;
  void conclude();

  Env& env_;
  std::deque<Interval> samples_;
  Duration ahead_{};
  bool drifts_ = false;
  bool tells_ = false;
};

}  // namespace gantry::agent
