// idle_cpu_percent, idle_rss_mb: `gantry dev` at rest for 60 s after 10,000 tasks, its agent connected to Docker.
#include <fstream>

#include <boost/asio/io_context.hpp>

#include "bench/common_lifecycle.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

/// User and system time of a process so far, in seconds.
double cpu_seconds(pid_t process) {
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

double resident_mb(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/statm", process));
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

void rest(double duration_s) {
  std::this_thread::sleep_for(
      std::chrono::duration<double>(duration_s));  // tidy: allow(clock) because it measures rest
}

void measure(const Options& options, Report& report) {
  asio::io_context io;
  SystemEnv env(io);
  DevServer server;
  World fill{env, wire::HawkSigner(server.credentials()), server.host(), server.port(), INT64_MAX, 0, 10'000};
  run_clients(fill);
  rest(5);
  double duration_s = options.quick ? 15 : 60;
  double before = cpu_seconds(server.process());
  rest(duration_s);
  double used = cpu_seconds(server.process()) - before;
  report.add("idle_cpu_percent", 100 * used / duration_s, "%", "lower");
  report.add("idle_rss_mb", resident_mb(server.process()), "MB", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
