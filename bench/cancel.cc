// cancel_p99_ms: from the answer to "cancel" until `ps -a` no longer shows the container, for a task that ignores
// SIGTERM.
#include "bench/common_client.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

Async<> measure_delays(Client& client, Env& env, engine::Engine& engine, int tasks, std::vector<double>& delays_ms) {
  for (int i = 0; i < tasks; ++i) {
    TaskId id = co_await client.create({"sh", "-c", "trap '' TERM INT; while :; do sleep 1; done"});
    std::string label = id.to_string();
    for (bool running = false; !running;) {
      co_await env.sleep(milliseconds(20));
      for (const auto& container : co_await engine.list_containers(agent::task_label, label))
        running = container.running;
    }
    co_await env.sleep(milliseconds(200));  // the trap is set by then
    co_await client.call(net::Method::post, "/api/queue/v1/task/" + label + "/cancel");
    std::int64_t answered_us = env.uptime_us();
    while (!(co_await engine.list_containers(agent::task_label, label)).empty()) co_await env.sleep(milliseconds(5));
    delays_ms.push_back(static_cast<double>(env.uptime_us() - answered_us) / 1000);
    if (delays_ms.back() > 1000) fmt::print(stderr, "  {} took {:.0f} ms\n", label, delays_ms.back());
  }
}

void measure(const Options& options, Report& report) {
  DevServer server;
  Loop loop;
  Client client(loop.env(), server);
  auto engine = engine::make_docker_engine(loop.env(), engine_url());
  std::vector<double> delays_ms;
  loop.run(measure_delays(client, loop.env(), *engine, options.quick ? 10 : 50, delays_ms));
  report.note(fmt::format("p50 {:.0f} ms", percentile(delays_ms, 0.5)));
  report.add("cancel_p99_ms", percentile(delays_ms, 0.99), "ms", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
