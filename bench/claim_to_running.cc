// claim_to_running_ratio: image present, one at a time: from the claim (the step `claimed` of the run's timeline)
// until Docker has said that the process runs (the step `started`), over create + start by the bare Engine
// API with the same host configuration. The two alternate. The ratio of the medians; the times of a task are whole
// milliseconds.
#include "bench/common_containers.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

struct Samples {
  std::vector<double> gantry_ms;
  std::vector<double> bare_ms;
};

Async<double> bare_start_ms(Env& env, engine::Engine& engine, int number) {
  std::int64_t begin = env.uptime_us();
  std::string id = co_await engine.create_container(bare_spec(number, {"sleep", "0.2"}));
  co_await engine.start_container(id);
  double took_ms = static_cast<double>(env.uptime_us() - begin) / 1000;
  co_await engine.wait_container(id);
  co_await engine.remove_container(id);
  co_return took_ms;
}

Async<double> task_start_ms(Client& client) {
  TaskId id = co_await client.create({"sleep", "0.2"});
  json::value task = co_await client.resolved(id);
  auto claimed = step_time(task, "claimed");
  auto started = step_time(task, "started");
  if (!claimed || !started) throw Error(ErrorCode::internal, "a task did not start");
  co_return static_cast<double>((*started - *claimed).count());
}

Async<> measure_starts(Client& client, Env& env, engine::Engine& engine, std::string agent, int count, Samples& out) {
  for (int i = -2; i < count; ++i) {  // the first two warm up
    double task_ms = co_await task_start_ms(client);
    co_await until_none(env, engine, agent::agent_label, agent);
    double bare_ms = co_await bare_start_ms(env, engine, i + 2);
    if (i < 0) continue;
    out.gantry_ms.push_back(task_ms);
    out.bare_ms.push_back(bare_ms);
  }
}

void measure(const Options& options, Report& report) {
  DevServer server;
  Loop loop;
  Client client(loop.env(), server);
  auto engine = engine::make_docker_engine(loop.env(), engine_url());
  Samples samples;
  loop.run(measure_starts(client, loop.env(), *engine, agent_id(server), options.quick ? 12 : 100, samples));
  double gantry_ms = percentile(samples.gantry_ms, 0.5);
  double bare_ms = percentile(samples.bare_ms, 0.5);
  report.note(fmt::format("claim to running {:.0f} ms, bare create and start {:.1f} ms", gantry_ms, bare_ms));
  report.add("claim_to_running_ratio", gantry_ms / bare_ms, "ratio", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
