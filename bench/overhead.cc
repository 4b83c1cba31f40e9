// overhead_ratio: N `true` containers at concurrency 4 through Gantry, over the same through the bare Engine API:
// create, attach, start, wait, delete on kept-alive connections, with the same host configuration, network and log
// driver. The two alternate; each round ends when `ps -a` shows none. The ratio is the median of the rounds'.
#include "bench/common_client.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

constexpr int concurrency = 4;
constexpr const char* bare_label = "gantry.bench";

engine::ContainerSpec bare_spec(int number) {
  engine::ContainerSpec spec;
  spec.name = fmt::format("gantry-bench-{}-{}", ::getpid(), number);
  spec.image = example_image;
  spec.command = {"true"};
  spec.env = {{"TASK_ID", "x"}, {"RUN_ID", "0"}};
  spec.labels = {{bare_label, std::to_string(::getpid())}};
  wire::ResourceLimits limits;
  spec.limits = {limits.memory_bytes, limits.cpus, limits.pids};
  spec.network = "gantry-tasks";
  return spec;
}

Async<> bare_worker(engine::Engine& engine, int& next, int count) {
  while (next < count) {
    std::string id = co_await engine.create_container(bare_spec(next++));
    auto output = co_await engine.attach(id);
    co_await engine.start_container(id);
    while (!(co_await output->read()).bytes.empty()) {
    }
    co_await engine.wait_container(id);
    co_await engine.remove_container(id);
  }
}

Async<> until_none(Env& env, engine::Engine& engine, std::string label, std::string value) {
  while (!(co_await engine.list_containers(label, value)).empty()) co_await env.sleep(milliseconds(5));
}

double bare_round(Loop& loop, engine::Engine& engine, int count) {
  std::int64_t begin = loop.env().uptime_us();
  int next = 0;
  std::vector<Async<>> workers;
  for (int i = 0; i < concurrency; ++i) workers.push_back(bare_worker(engine, next, count));
  loop.run_all(std::move(workers));
  loop.run(until_none(loop.env(), engine, bare_label, std::to_string(::getpid())));
  return static_cast<double>(loop.env().uptime_us() - begin) / 1e6;
}

Async<> gantry_work(Client& client, int count) {
  std::vector<TaskId> ids;
  for (int i = 0; i < count; ++i) ids.push_back(co_await client.create({"true"}));
  for (TaskId id : ids) {
    json::value task = co_await client.resolved(id);
    if (task.at("state").as_string() != "completed") throw Error(ErrorCode::internal, "a task did not complete");
  }
}

double gantry_round(Loop& loop, Client& client, engine::Engine& engine, const DevServer& server, int count) {
  std::int64_t begin = loop.env().uptime_us();
  loop.run(gantry_work(client, count));
  loop.run(until_none(loop.env(), engine, agent::agent_label, agent_id(server)));
  return static_cast<double>(loop.env().uptime_us() - begin) / 1e6;
}

void measure(const Options& options, Report& report) {
  DevServer server({"--slots", std::to_string(concurrency)});
  Loop loop;
  Client client(loop.env(), server);
  auto engine = engine::make_docker_engine(loop.env(), engine_url());
  int count = options.quick ? 40 : 100;
  int rounds = options.quick ? 3 : 5;
  gantry_round(loop, client, *engine, server, concurrency);  // warm up: the network exists, the image is known
  bare_round(loop, *engine, concurrency);
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    double bare_s = bare_round(loop, *engine, count);
    double gantry_s = gantry_round(loop, client, *engine, server, count);
    ratios.push_back(gantry_s / bare_s);
    report.note(fmt::format("{} containers: bare {:.2f} s ({:.1f}/s), gantry {:.2f} s ({:.1f}/s)", count, bare_s,
                            count / bare_s, gantry_s, count / gantry_s));
  }
  report.add("overhead_ratio", percentile(ratios, 0.5), "ratio", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
