// cancel_p99_ms: from the answer to "cancel" until `ps -a` no longer shows the container, for a task that ignores
// SIGTERM. cancel_16_p99_ms: the same with sixteen such tasks running, all cancelled at once.
#include "bench/common_client.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

constexpr int many = 16;

Async<TaskId> begin_stubborn(Client& client) {
  co_return co_await client.create({"sh", "-c", "trap '' TERM INT; while :; do sleep 1; done"});
}

Async<> until_running(Env& env, engine::Engine& engine, TaskId id) {
  for (;;) {
    for (const auto& container : co_await engine.list_containers(agent::task_label, id.to_string())) {
      if (container.running) co_return;
    }
    co_await env.sleep(milliseconds(20));
  }
}

Async<> cancel(Client& client, Env& env, engine::Engine& engine, TaskId id, std::vector<double>& delays_ms) {
  std::string label = id.to_string();
  co_await client.call(net::Method::post, "/api/queue/v1/task/" + label + "/cancel");
  std::int64_t answered_us = env.uptime_us();
  while (!(co_await engine.list_containers(agent::task_label, label)).empty()) co_await env.sleep(milliseconds(5));
  delays_ms.push_back(static_cast<double>(env.uptime_us() - answered_us) / 1000);
}

Async<> begin_all(Client& client, Env& env, engine::Engine& engine, int count, std::vector<TaskId>& ids) {
  for (int i = 0; i < count; ++i) ids.push_back(co_await begin_stubborn(client));
  for (TaskId id : ids) co_await until_running(env, engine, id);
  co_await env.sleep(milliseconds(200));  // the trap is set by then
}

void measure_at(int at_once, int rounds, std::string_view name, Report& report) {
  DevServer server({"--slots", std::to_string(at_once)});
  Loop loop;
  Client client(loop.env(), server);
  auto engine = engine::make_docker_engine(loop.env(), engine_url());
  std::vector<double> delays_ms;
  for (int round = 0; round < rounds; ++round) {
    std::vector<TaskId> ids;
    loop.run(begin_all(client, loop.env(), *engine, at_once, ids));
    std::vector<Async<>> works;
    for (TaskId id : ids) works.push_back(cancel(client, loop.env(), *engine, id, delays_ms));
    loop.run_all(std::move(works));
  }
  report.note(fmt::format("{} at once: p50 {:.0f} ms", at_once, percentile(delays_ms, 0.5)));
  report.add(name, percentile(delays_ms, 0.99), "ms", "lower");
}

void measure(const Options& options, Report& report) {
  measure_at(1, options.quick ? 10 : 50, "cancel_p99_ms", report);
  measure_at(many, options.quick ? 2 : 6, "cancel_16_p99_ms", report);
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
