#include "agent/server_clock.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
// Where things stand in "Fri, 20 Nov 2026 06:41:03 GMT".
constexpr std::size_t date_bytes = 29;
constexpr std::string_view date_shape = "???, 00 ??? 0000 00:00:00 GMT";
static_assert(date_shape.size() == date_bytes);

bool has_shape(std::string_view text) {
  if (text.size() != date_bytes) return false;
  for (std::size_t at = 0; at < date_bytes; ++at) {
    char wanted = date_shape[at];
    bool fits = wanted == '?' || (wanted == '0' ? text[at] >= '0' && text[at] <= '9' : text[at] == wanted);
    if (!fits) return false;
  }
  return true;
}

int number_at(std::string_view text, std::size_t at, std::size_t digits) {
  int number = 0;
  std::from_chars(text.data() + at, text.data() + at + digits, number);
  return number;
}

}  // namespace

std::optional<Time> parse_http_date(std::string_view text) {
  if (!has_shape(text)) return std::nullopt;
  auto month = std::ranges::find(months, text.substr(8, 3));
  if (month == months.end()) return std::nullopt;
  std::chrono::year_month_day day(std::chrono::year(number_at(text, 12, 4)),
                                  std::chrono::month(static_cast<unsigned>(month - months.begin()) + 1),
                                  std::chrono::day(static_cast<unsigned>(number_at(text, 5, 2))));
  int hour = number_at(text, 17, 2);
  int minute = number_at(text, 20, 2);
  int second = number_at(text, 23, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return Time(std::chrono::sys_days(day).time_since_epoch() + hours(hour) + minutes(minute) + seconds(second));
}

void ServerClock::heard(Duration taken, std::string_view date) {
  auto time = parse_http_date(date);
  if (!time) return;
  Duration low = *time - env_.now();
  samples_.push_back({low, low + date_step + std::max(taken, Duration(0))});
  if (samples_.size() > clock_samples_max) samples_.pop_front();
  Interval cut = common();
  if (cut.low > cut.high) samples_.erase(samples_.begin(), samples_.end() - 1);
  conclude();
}

ServerClock::Interval ServerClock::common() const {
  Interval cut = samples_.front();
  for (const Interval& sample : samples_) {
    cut.low = std::max(cut.low, sample.low);
    cut.high = std::min(cut.high, sample.high);
  }
  return cut;
}

/// An answer that was long under way was mostly waited for at the server's: its Date is that of its end.
void ServerClock::conclude() {
  Interval cut = common();
  Duration offset = std::min(cut.low + (cut.high - cut.low) / 2, cut.low + date_step / 2);
  // What is just at the limit does not change all the time.
  Duration limit = drifts_ ? clock_drift_min / 2 : clock_drift_min;
  bool drifts = offset >= limit || offset <= -limit;
  ahead_ = drifts ? -offset : Duration(0);
  if (drifts == std::exchange(drifts_, drifts) || !tells_) return;
  if (drifts) {
    log_warning(
        "this machine's clock is {} {} the server's: requests are signed with the server's time until it is "
        "right; let it be set (timedatectl set-ntp true), here or on the server's machine",
        format_duration(offset < Duration(0) ? -offset : offset), offset < Duration(0) ? "ahead of" : "behind");
  } else {
    log_info("this machine's clock is in step with the server's");
  }
}

}  // namespace gantry::agent
