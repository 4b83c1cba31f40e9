// overhead_ratio: N `true` containers at concurrency 4 through Gantry, over the same through the bare Engine API:
// create, attach, start, wait, delete on kept-alive connections, with the same host configuration, network and log
// driver. The two alternate; each round ends when `ps -a` shows none. The ratio is the median of the rounds'.
// tasks_per_s_ratio: the other way round, and at concurrency 8: tasks/s through Gantry over containers/s bare.
#include "bench/common_containers.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

void measure(const Options& options, Report& report) {
  int count = options.quick ? 40 : 100;
  int rounds = options.quick ? 3 : 5;
  auto note = [&](const std::string& line) { report.note(line); };
  report.add("overhead_ratio", Rounds(4).median_ratio(rounds, count, note), "ratio", "lower");
  report.add("tasks_per_s_ratio", 1 / Rounds(8).median_ratio(rounds, count, note), "ratio", "higher");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
