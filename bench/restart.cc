// restart_100k_s: from the start of the `gantry dev` process until it answers, with 100,000 stored tasks, 10,000 of
// them open. restart_1m_s: with 1,000,000 stored tasks, 100,000 of them open (--quick: a tenth of that). The last
// server was killed with SIGKILL each time; the middle of three starts.
#include <algorithm>

#include "bench/common_fill.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

double middle_start(DevServer& server, const Report& report) {
  std::vector<double> seconds;
  for (int i = 0; i < 3; ++i) {
    server.stop(SIGKILL);
    seconds.push_back(server.start());
    report.note(fmt::format("start {}: {:.3f} s", i + 1, seconds.back()));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[1];
}

void measure(const Options& options, Report& report) {
  DevServer server;
  fill(server, 90'000, 10'000);
  report.add("restart_100k_s", middle_start(server, report), "s", "lower");
  if (options.quick) {
    fill(server, 0, 0);
  } else {
    fill(server, 810'000, 90'000);
  }
  report.add("restart_1m_s", middle_start(server, report), "s", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
