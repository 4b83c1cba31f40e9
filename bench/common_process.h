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

}  // namespace gantry::bench
