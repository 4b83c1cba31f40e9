// start_delay_p50_ms, start_delay_p99_ms: from the answer to "create" (as the client sees it) until the agent sends the
// start call to Docker, one task at a time, image present.
#include "bench/common_client.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

Async<> measure_delays(Client& client, Env& env, int tasks, std::vector<double>& delays_ms) {
  for (int i = -2; i < tasks; ++i) {  // the first two warm up
    TaskId id = co_await client.create({"true"});
    Time answered = env.now();
    json::value task = co_await client.resolved(id);
    auto starting = step_time(task, "starting");
    if (!starting)
      throw Error(ErrorCode::internal, "a task has no step \"starting\": " + std::string(task.at("state").as_string()));
    if (i >= 0) delays_ms.push_back(static_cast<double>((*starting - answered).count()));
  }
}

void measure(const Options& options, Report& report) {
  DevServer server;
  Loop loop;
  Client client(loop.env(), server);
  std::vector<double> delays_ms;
  loop.run(measure_delays(client, loop.env(), options.quick ? 30 : 150, delays_ms));
  report.add("start_delay_p50_ms", percentile(delays_ms, 0.5), "ms", "lower");
  report.add("start_delay_p99_ms", percentile(delays_ms, 0.99), "ms", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
