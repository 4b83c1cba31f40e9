// idle_cpu_percent, idle_rss_mb: `gantry dev` at rest for 60 s after 10,000 tasks, its agent connected to Docker.
#include <boost/asio/io_context.hpp>

#include "bench/common_lifecycle.h"
#include "bench/common_process.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

void measure(const Options& options, Report& report) {
  asio::io_context io;
  SystemEnv env(io);
  DevServer server;
  World fill{env, wire::HawkSigner(server.credentials()), server.host(), server.port(), INT64_MAX, 0, 10'000};
  run_clients(fill);
  report_rest(report, "idle", server.process(), options.quick ? 15 : 60);
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
