// restart_100k_s: from the start of the `gantry dev` process until it answers, with 100,000 stored tasks, 10,000 of
// them open. The last server was killed with SIGKILL.
#include <boost/asio/io_context.hpp>

#include "bench/common_lifecycle.h"
#include "bench/common_report.h"

int main(int argc, char** argv) {
  using namespace gantry;
  using namespace gantry::bench;
  Options options(argc, argv);
  Report report(options);
  asio::io_context io;
  SystemEnv env(io);
  DevServer server;
  World fill{env, wire::HawkSigner(server.credentials()), server.host(), server.port(), INT64_MAX, 0, 90'000};
  run_clients(fill);
  World open{env, wire::HawkSigner(server.credentials()), server.host(), server.port(), INT64_MAX, 0, 10'000};
  open.create_only = true;
  run_clients(open);
  std::vector<double> seconds;
  for (int i = 0; i < 3; ++i) {
    server.stop(SIGKILL);
    seconds.push_back(server.start());
    report.note(fmt::format("start {}: {:.3f} s", i + 1, seconds.back()));
  }
  std::sort(seconds.begin(), seconds.end());
  report.add("restart_100k_s", seconds[1], "s", "lower");
}
