// Points in time are milliseconds since 1970 UTC, without leap seconds: what the queue's API speaks. A Time is only
// ever made by an Env (base/env.h) or parsed from text.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gantry {

using Duration = std::chrono::milliseconds;
using Time = std::chrono::sys_time<Duration>;

using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

inline std::int64_t to_ms(Time time) { return time.time_since_epoch().count(); }
inline Time time_from_ms(std::int64_t ms) { return Time(Duration(ms)); }

/// What can be written: the years 0000 to 9999.
inline constexpr Time time_min{Duration(-62'167'219'200'000)};
inline constexpr Time time_max{Duration(253'402'300'799'999)};

/// "2026-11-20T06:41:03.123Z"; what lies outside of time_min and time_max is written as the nearer of the two.
std::string format_time(Time time);
void append_time(std::string& out, Time time);

/// RFC 3339 with `Z` or an offset and 0 to 9 digits of fraction (cut to milliseconds); nothing for anything else.
std::optional<Time> parse_time(std::string_view text);

/// "850ms", "3.2s", "4m10s", "2h05m", "3d4h": two significant parts, for people.
std::string format_duration(Duration duration);

/// "90", "90s", "10m", "2h", "1d" or "500ms"; a bare number is seconds. Nothing if it is not one of these or is
/// negative.
std::optional<Duration> parse_duration(std::string_view text);

}  // namespace gantry
