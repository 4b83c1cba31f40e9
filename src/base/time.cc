#include "base/time.h"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>

namespace gantry {
namespace {

void append_digits(std::string& out, unsigned value, int width) {
  char digits[8];
  for (int i = width - 1; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out.append(digits, static_cast<std::size_t>(width));
}

/// Reads exactly `width` digits at `position` and moves on; false if they are not there.
bool take_digits(std::string_view text, std::size_t& position, std::size_t width, int& value) {
  if (position + width > text.size()) return false;
  value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    char c = text[position + i];
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  position += width;
  return true;
}

bool take(std::string_view text, std::size_t& position, char expected) {
  if (position >= text.size() || text[position] != expected) return false;
  ++position;
  return true;
}

/// The fraction after the seconds, in milliseconds; 0 if there is none.
bool take_fraction(std::string_view text, std::size_t& position, int& ms) {
  ms = 0;
  if (position >= text.size() || text[position] != '.') return true;
  std::size_t start = ++position;
  int scale = 100;
  while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
    if (position - start >= 9) return false;
    ms += (text[position] - '0') * scale;
    scale /= 10;
    ++position;
  }
  return position > start;
}

/// `Z` or `+hh:mm`, as minutes to subtract.
bool take_zone(std::string_view text, std::size_t& position, int& offset_minutes) {
  offset_minutes = 0;
  if (position >= text.size()) return false;
  char sign = text[position++];
  if (sign == 'Z' || sign == 'z') return true;
  if (sign != '+' && sign != '-') return false;
  int hour = 0;
  int minute = 0;
  if (!take_digits(text, position, 2, hour) || !take(text, position, ':') || !take_digits(text, position, 2, minute)) {
    return false;
  }
  if (hour > 23 || minute > 59) return false;
  offset_minutes = (hour * 60 + minute) * (sign == '-' ? -1 : 1);
  return true;
}

}  // namespace

void append_time(std::string& out, Time time) {
  time = std::clamp(time, time_min, time_max);
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date(day);
  auto of_day = static_cast<unsigned>((time - day).count());
  append_digits(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  append_digits(out, of_day / 3'600'000, 2);
  out += ':';
  append_digits(out, of_day / 60'000 % 60, 2);
  out += ':';
  append_digits(out, of_day / 1000 % 60, 2);
  out += '.';
  append_digits(out, of_day % 1000, 3);
  out += 'Z';
}

std::string format_time(Time time) {
  std::string out;
  out.reserve(24);
  append_time(out, time);
  return out;
}

std::optional<Time> parse_time(std::string_view text) {
  std::size_t at = 0;
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0, offset = 0;
  bool ok = take_digits(text, at, 4, year) && take(text, at, '-') && take_digits(text, at, 2, month) &&
            take(text, at, '-') && take_digits(text, at, 2, day) && (take(text, at, 'T') || take(text, at, 't')) &&
            take_digits(text, at, 2, hour) && take(text, at, ':') && take_digits(text, at, 2, minute) &&
            take(text, at, ':') && take_digits(text, at, 2, second) && take_fraction(text, at, ms) &&
            take_zone(text, at, offset) && at == text.size();
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day))};
  if (!ok || !date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  Time time =
      Time(std::chrono::sys_days(date)) + hours(hour) + minutes(minute - offset) + seconds(second) + milliseconds(ms);
  if (time < time_min || time > time_max) return std::nullopt;  // the offset has led out of the four-digit years
  return time;
}

std::string format_duration(Duration duration) {
  auto ms = duration.count();
  if (ms < 0) return "-" + format_duration(-duration);
  if (ms < 1000) return fmt::format("{}ms", ms);
  if (ms < 60'000) return fmt::format("{:.1f}s", static_cast<double>(ms) / 1000);
  auto s = ms / 1000;
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86'400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{}h", s / 86'400, s / 3600 % 24);
}

std::optional<Duration> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || number > 1'000'000'000) return std::nullopt;
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.empty() || unit == "s") return seconds(number);
  if (unit == "ms") return milliseconds(number);
  if (unit == "m") return minutes(number);
  if (unit == "h") return hours(number);
  if (unit == "d") return hours(24) * number;
  return std::nullopt;
}

}  // namespace gantry
