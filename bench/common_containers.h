// Containers through the bare Engine API, as the peer that Gantry's tasks are measured against: the same host
// configuration, network and log driver, on kept-alive connections.
#pragma once

#include "bench/common_client.h"

namespace gantry::bench {

inline constexpr const char* bare_label = "gantry.bench";

inline engine::ContainerSpec bare_spec(int number, std::vector<std::string> command) {
  engine::ContainerSpec spec;
  spec.name = fmt::format("gantry-bench-{}-{}", ::getpid(), number);
  spec.image = example_image;
  spec.command = std::move(command);
  spec.env = {{"TASK_ID", "x"}, {"RUN_ID", "0"}};
  spec.labels = {{bare_label, std::to_string(::getpid())}};
  wire::ResourceLimits limits;
  spec.limits = {limits.memory_bytes, limits.cpus, limits.pids};
  spec.network = "gantry-tasks";
  return spec;
}

inline Async<> until_none(Env& env, engine::Engine& engine, std::string label, std::string value) {
  while (!(co_await engine.list_containers(label, value)).empty()) co_await env.sleep(milliseconds(5));
}

inline Async<> bare_worker(engine::Engine& engine, int& next, int count) {
  while (next < count) {
    std::string id = co_await engine.create_container(bare_spec(next++, {"true"}));
    auto output = co_await engine.attach(id);
    co_await engine.start_container(id);
    while (!(co_await output->read()).bytes.empty()) {
    }
    co_await engine.wait_container(id);
    co_await engine.remove_container(id);
  }
}

inline Async<> gantry_work(Client& client, int count) {
  std::vector<TaskId> ids;
  for (int i = 0; i < count; ++i) ids.push_back(co_await client.create({"true"}));
  for (TaskId id : ids) {
    json::value task = co_await client.resolved(id);
    if (task.at("state").as_string() != "completed") throw Error(ErrorCode::internal, "a task did not complete");
  }
}

/// Rounds of `count` containers that run `true`, at one concurrency, first bare and then through Gantry.
class Rounds {
 public:
  explicit Rounds(int concurrency)
      : concurrency_(concurrency),
        server_({"--slots", std::to_string(concurrency)}),
        client_(loop_.env(), server_),
        engine_(engine::make_docker_engine(loop_.env(), engine_url())) {
    gantry_round(concurrency);  // warm up: the network exists, the image is known
    bare_round(concurrency);
  }

  /// In seconds, from the first request until `ps -a` shows none of them.
  double bare_round(int count) {
    std::int64_t begin = loop_.env().uptime_us();
    int next = 0;
    std::vector<Async<>> workers;
    for (int i = 0; i < concurrency_; ++i) workers.push_back(bare_worker(*engine_, next, count));
    loop_.run_all(std::move(workers));
    loop_.run(until_none(loop_.env(), *engine_, bare_label, std::to_string(::getpid())));
    return static_cast<double>(loop_.env().uptime_us() - begin) / 1e6;
  }
  double gantry_round(int count) {
    std::int64_t begin = loop_.env().uptime_us();
    loop_.run(gantry_work(client_, count));
    loop_.run(until_none(loop_.env(), *engine_, agent::agent_label, agent_id(server_)));
    return static_cast<double>(loop_.env().uptime_us() - begin) / 1e6;
  }

  /// The median of the rounds' time through Gantry over their bare time; `note` gets a line a round.
  template <class Note>
  double median_ratio(int rounds, int count, Note note) {
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
      double bare_s = bare_round(count);
      double gantry_s = gantry_round(count);
      ratios.push_back(gantry_s / bare_s);
      note(fmt::format("{} containers, {} at a time: bare {:.2f} s ({:.1f}/s), gantry {:.2f} s ({:.1f}/s)", count,
                       concurrency_, bare_s, count / bare_s, gantry_s, count / gantry_s));
    }
    return percentile(ratios, 0.5);
  }

 private:
  int concurrency_;
  DevServer server_;
  Loop loop_;
  Client client_;
  std::shared_ptr<engine::Engine> engine_;
};

}  // namespace gantry::bench
