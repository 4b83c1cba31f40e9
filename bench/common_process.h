// What a process has used, from /proc.
#pragma once

#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "bench/common_report.h"

namespace gantry::bench {

/// User and system time of a process so far, in seconds.
inline double cpu_seconds(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

inline double resident_mb(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/statm", process));
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

inline void rest(double duration_s) {
  std::this_thread::sleep_for(
      std::chrono::duration<double>(duration_s));  // tidy: allow(clock) because it measures rest
}

/// `<name>_cpu_percent` and `<name>_rss_mb` of a process that has nothing to do for `duration_s`.
inline void report_rest(Report& report, std::string_view name, pid_t process, double duration_s) {
  rest(5);
  double before = cpu_seconds(process);
  rest(duration_s);
  double used = cpu_seconds(process) - before;
  report.add(fmt::format("{}_cpu_percent", name), 100 * used / duration_s, "%", "lower");
  report.add(fmt::format("{}_rss_mb", name), resident_mb(process), "MB", "lower");
}

}  // namespace gantry::bench
