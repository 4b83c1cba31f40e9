#include "sim/sim_engine.h"

#include <gtest/gtest.h>

#include "agent/task/container_spec.h"

namespace gantry::sim {
namespace {

constexpr std::int64_t hour_us = 3'600'000'000;

/// A machine, and an agent's process that uses its engine.
struct Fixture {
  VirtualClock clock;
  Trace trace{false};
  Faults faults;
  ContainerFacts facts;
  std::string failure;
  SimMachine machine;
  SimEnv agent;
  SimEngine engine;
  Scope scope;
  std::string error;

  explicit Fixture(std::string_view fault_names = "none")
      : faults(value_or_throw(Faults::parse(fault_names))),
        machine(clock, 1, "alder", std::int64_t{1} << 30, faults, trace, facts,
                [this](std::string what) { failure = what; }),
        agent(clock, 1, "agent"),
        engine(machine, agent),
        scope(agent.executor(), "test") {
    machine.add_image("image");
  }
  ~Fixture() {
    scope.cancel();
    clock.run_ready();
  }

  void run_for(std::int64_t us) {
    std::int64_t until_us = clock.now_us() + us;
    clock.run_ready();
    while (clock.run_next_timer(until_us)) clock.run_ready();
  }
  void run(Async<> work, std::int64_t us = 10'000'000) {
    scope.spawn("work", std::move(work));
    run_for(us);
  }
};

/// Of a run whose container, by seed 1, lives for at least a minute and writes something.
wire::RunRef lasting_run() {
  for (int run = 0;; ++run) {
    wire::RunRef ref{TaskId::parse("fN1SbArXTPSVFNUvaOlinQ").value(), run};
    ContainerPlan plan = plan_container(1, ref);
    bool lasts = plan.length_us > 60'000'000 && plan.length_us < hour_us && plan.output.size() > 3;
    if (lasts) return ref;
  }
}

engine::ContainerSpec spec_of(wire::RunRef run) {
  engine::ContainerSpec spec;
  spec.name = agent::container_name(run);
  spec.image = "image";
  spec.labels = {{agent::agent_label, "a"},
                 {agent::task_label, run.task.to_string()},
                 {agent::run_label, std::to_string(run.run)}};
  return spec;
}

Async<> start(Fixture& f, wire::RunRef run, std::string& id) {
  id = co_await f.engine.create_container(spec_of(run));
  co_await f.engine.start_container(id);
}

Async<> copy_log(Fixture& f, std::string id, bool follow, std::string& log) {
  try {
    auto output = co_await f.engine.logs(id, follow);
    for (;;) {
      engine::Output piece = co_await output->read();
      if (piece.bytes.empty()) co_return;
      if (piece.stream == 1) log += piece.bytes;
    }
  } catch (const Error& error) {
    f.error = error.message();
  }
}

Async<> wait(Fixture& f, std::string id, std::optional<int>& code) {
  try {
    code = co_await f.engine.wait_container(id);
  } catch (const Error& error) {
    f.error = error.message();
  }
}

TEST(SimEngine, AContainerWritesAndEndsAsItsPlanSays) {
  Fixture f;
  wire::RunRef run = lasting_run();
  std::string id;
  std::string log;
  std::optional<int> code;
  f.run(start(f, run, id));
  f.scope.spawn("log", copy_log(f, id, true, log));
  f.scope.spawn("wait", wait(f, id, code));
  f.run_for(hour_us);
  const ContainerFact& fact = f.facts.at(run);
  EXPECT_EQ(code, plan_container(1, run).exit_code);
  EXPECT_EQ(fact.ended_by, EndedBy::itself);
  EXPECT_EQ(log, output_bytes(run, 1, 0, fact.produced[1]));
  EXPECT_EQ(f.machine.containers().size(), 1u) << "until it is removed";
}

TEST(SimEngine, ContainersOutliveWhoStartedThem) {
  Fixture f;
  wire::RunRef run = lasting_run();
  std::string id;
  std::optional<int> code;
  f.run(start(f, run, id));
  f.scope.spawn("wait", wait(f, id, code));
  f.run_for(1000);
  f.agent.kill();
  f.scope.cancel();
  f.run_for(hour_us);
  EXPECT_FALSE(code.has_value());
  EXPECT_EQ(f.facts.at(run).ended_by, EndedBy::itself);
}

TEST(SimEngine, AnEngineThatIsStoppedEndsItsContainersAndRefusesNewCalls) {
  Fixture f;
  std::string id;
  std::optional<int> code;
  f.run(start(f, lasting_run(), id));
  f.scope.spawn("wait", wait(f, id, code));
  f.run_for(1'000'000);
  f.machine.restart_engine(EngineRestart::stopped, seconds(30));
  EXPECT_FALSE(f.machine.accepts());
  f.run_for(20'000'000);
  EXPECT_TRUE(code == 143 || code == 137);
  EXPECT_EQ(f.facts.at(lasting_run()).ended_by, EndedBy::engine);
  std::string log;
  f.run(copy_log(f, id, false, log), 5'000'000);
  EXPECT_NE(f.error.find("cannot connect"), std::string::npos) << f.error;
  f.run_for(30'000'000);
  EXPECT_TRUE(f.machine.accepts());
}

TEST(SimEngine, AnEngineThatIsKilledBreaksItsConnections) {
  Fixture f;
  std::string id;
  std::optional<int> code;
  f.run(start(f, lasting_run(), id));
  f.scope.spawn("wait", wait(f, id, code));
  f.run_for(1'000'000);
  f.machine.restart_engine(EngineRestart::killed, seconds(5));
  f.run_for(1'000'000);
  EXPECT_FALSE(code.has_value());
  EXPECT_NE(f.error, "");
  EXPECT_EQ(f.facts.at(lasting_run()).ended_by, EndedBy::nobody) << "its containers go on while it is away";
  f.run_for(5'000'000);
  EXPECT_EQ(f.facts.at(lasting_run()).ended_by, EndedBy::engine);
}

Async<> create_many(Fixture& f, int& failed) {
  for (int i = 0; i < 2000; ++i) {
    bool error = false;
    try {
      co_await f.engine.create_container(spec_of({TaskId::random(f.agent), 0}));
    } catch (const Error&) {
      error = true;
    }
    failed += error ? 1 : 0;
  }
}

TEST(SimEngine, ALostAnswerLeavesTheContainer) {
  Fixture f("engine-answer-lost");
  int failed = 0;
  f.run(create_many(f, failed), hour_us);
  EXPECT_GT(failed, 0);
  EXPECT_EQ(f.machine.containers().size(), 2000u);
}

Async<> use_volume(Fixture& f, wire::RunRef run, std::vector<std::string>& seen) {
  co_await f.engine.create_volume("cache", {{"of", "a"}});
  co_await f.engine.create_volume("cache", {{"of", "b"}});
  engine::ContainerSpec spec = spec_of(run);
  spec.mounts = {{engine::Mount::Type::volume, "cache", "/cache", false}};
  std::string id = co_await f.engine.create_container(spec);
  std::optional<ErrorCode> refused;
  try {
    co_await f.engine.remove_volume("cache");
  } catch (const Error& error) {
    refused = error.code();
  }
  seen.push_back(refused == ErrorCode::conflict ? "in use" : "removed too early");
  for (const auto& volume : co_await f.engine.list_volumes("of", "a")) seen.push_back(volume.name);
  co_await f.engine.remove_container(id);
  co_await f.engine.remove_volume("cache");
  co_await f.engine.remove_volume("cache");
  auto left = co_await f.engine.list_volumes("of", "a");
  seen.push_back(left.empty() ? "none" : "left");
}

TEST(SimEngine, AVolumeStaysAsLongAsAContainerHasIt) {
  Fixture f;
  std::vector<std::string> seen;
  f.run(use_volume(f, lasting_run(), seen));
  EXPECT_EQ(seen, (std::vector<std::string>{"in use", "cache", "none"}));
}

Async<> move_image(Fixture& f, wire::RunRef run, std::vector<std::string>& seen) {
  std::string id = co_await f.engine.create_container(spec_of(run));
  std::string made = co_await f.engine.commit_container(id, "made:1");
  auto saved = co_await f.engine.save_image("made:1");
  co_await f.engine.tag_image(made, "made:2");
  co_await f.engine.remove_image("made:1");
  auto with_one = co_await f.engine.inspect_image("made:2");
  seen.push_back(with_one && with_one->id == made ? "made:2" : "");
  co_await f.engine.remove_image("made:2");
  bool there = co_await f.engine.has_image(made);
  seen.push_back(there ? "there" : "gone");
  for (const auto& reference : co_await f.engine.load_image(saved, -1)) seen.push_back(reference);
  auto again = co_await f.engine.inspect_image("made:1");
  seen.push_back(again && again->id == made ? "same" : "another");
  std::optional<ErrorCode> refused;
  try {
    co_await f.engine.remove_image("image");
  } catch (const Error& error) {
    refused = error.code();
  }
  seen.push_back(refused == ErrorCode::conflict ? "in use" : "removed too early");
}

TEST(SimEngine, AnImageIsMadeSavedAndLoaded) {
  Fixture f;
  std::vector<std::string> seen;
  f.run(move_image(f, lasting_run(), seen));
  EXPECT_EQ(seen, (std::vector<std::string>{"made:2", "gone", "made:1", "same", "in use"}));
}

Async<> serve(Fixture& f, std::optional<int>& code) {
  engine::ContainerSpec spec;
  spec.name = "proxy";
  spec.image = "image";
  std::string id = co_await f.engine.create_container(spec);
  co_await f.engine.start_container(id);
  co_await f.engine.kill_container(id, "SIGKILL");
  code = co_await f.engine.wait_container(id);
}

TEST(SimEngine, AContainerOfNoRunServesUntilItIsKilled) {
  Fixture f;
  std::optional<int> code;
  f.run(serve(f, code));
  EXPECT_EQ(code, 137);
  EXPECT_TRUE(f.facts.empty());
}

TEST(SimEngine, ASecondStartOfARunIsAFailure) {
  Fixture f;
  std::string id;
  f.run(start(f, lasting_run(), id));
  f.machine.remove(id);
  EXPECT_EQ(f.failure, "");
  f.run(start(f, lasting_run(), id));
  EXPECT_NE(f.failure, "");
}

Async<> start_with_volume(Fixture& f, std::string name, std::string& id) {
  engine::ContainerSpec spec;
  spec.name = std::move(name);
  spec.image = "image";
  spec.mounts = {{engine::Mount::Type::volume, "shared", "/cache"}};
  id = co_await f.engine.create_container(spec);
  co_await f.engine.start_container(id);
}

TEST(SimEngine, AVolumeIsForOneRunningContainer) {
  Fixture f;
  std::string first;
  std::string second;
  f.run(start_with_volume(f, "first", first));
  f.run(f.engine.remove_container(first));
  f.run(start_with_volume(f, "second", second));
  EXPECT_EQ(f.failure, "");
  f.run(start_with_volume(f, "third", first));
  EXPECT_EQ(f.failure, "third is started on alder with volume shared, which second has");
}

}  // namespace
}  // namespace gantry::sim
