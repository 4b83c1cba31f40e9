// Caches on an engine that does as it is told: who gets which instance, and what becomes of it.
#include "agent/caches.h"

#include <fstream>

#include <gtest/gtest.h>

#include "agent/task/container_spec.h"
#include "agent/testing/agent_world.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

const std::string pool = "prov/type";

/// The purge-cache service; its answers are a second under way.
class PurgeServer : public AnsweringServer {
 public:
  explicit PurgeServer(FakeEnv& env) : env_(env) {}
  std::vector<std::string> asked;
  std::string purges;
  int status = 200;

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    asked.push_back(request.target);
    net::IncomingResponse response;
    response.status = status;
    response.body = "{\"requests\":[" + purges + "]}";
    co_await env_.sleep(seconds(1));
    co_return response;
  }

 private:
  FakeEnv& env_;
};

struct CachesTest : testing::Test {
  CachesTest() {
    set_log_sink([this](LogLevel, std::string_view line) { logged += std::string(line) + "\n"; });
    set_log_level(LogLevel::debug);
    restart();
  }
  ~CachesTest() override {
    set_log_level(LogLevel::info);
    set_log_sink({});
  }

  /// As the agent does when it starts.
  void restart() {
    caches.emplace(env, engine, api, CacheSettings{"me", pool, directory.file("caches.json")});
    env.run(caches->restore(engine.containers));
  }
  wire::RunRef make_run() { return {TaskId::random(env), 0}; }
  std::string acquire(wire::RunRef run, const std::string& cache = "c") { return env.run(caches->acquire(run, cache)); }
  void release(wire::RunRef run) {
    env.run(caches->release(run));
    env.advance(seconds(1));
  }
  /// An instance that is free.
  std::string make_free(const std::string& cache = "c") {
    wire::RunRef run = make_run();
    std::string volume = acquire(run, cache);
    release(run);
    return volume;
  }
  void request_purge(Time before, const std::string& cache = "c", const std::string& worker_type = "type") {
    server->purges = R"({"provisionerId":"prov","workerType":")" + worker_type + R"(","cacheName":")" + cache +
                     R"(","before":")" + format_time(before) + "\"}";
  }
  void check_purges() { env.run(caches->check_purges(nullptr)); }
  void add_container(wire::RunRef run, const std::string& volumes) {
    engine::ContainerSummary container;
    container.id = "c" + std::to_string(engine.containers.size());
    container.labels = {{agent_label, "me"},
                        {task_label, run.task.to_string()},
                        {run_label, std::to_string(run.run)},
                        {held_caches_label, volumes}};
    engine.containers.push_back(std::move(container));
  }
  bool has_logged(std::string_view text) const { return logged.find(text) != std::string::npos; }

  FakeEnv env;
  TemporaryDirectory directory;
  std::shared_ptr<PurgeServer> server = std::make_shared<PurgeServer>(env);
  ServerApi api{env, server, "server", 80};
  FakeEngine engine;
  std::optional<CacheStore> caches;
  std::vector<std::string>& asked = server->asked;
  std::string logged;
};

TEST_F(CachesTest, what_one_task_has_used_the_next_one_gets) {
  wire::RunRef first = make_run();
  std::string volume = acquire(first);
  const auto& labels = engine.volumes.at(volume).labels;
  EXPECT_EQ(labels.at(agent_label), "me");
  EXPECT_EQ(labels.at(cache_label), "c");
  EXPECT_EQ(labels.at(cache_queue_label), pool);
  EXPECT_EQ(labels.at(cache_made_label), std::to_string(fake_start.time_since_epoch().count()));
  release(first);
  EXPECT_EQ(acquire(make_run()), volume);
  EXPECT_EQ(engine.volumes.size(), 1u);
  for (auto event : {"cache volume miss: \"c\" for", "cache volume created: \"c\" ", "cache volume release: \"c\" ",
                     "cache volume hit: \"c\" "}) {
    EXPECT_TRUE(has_logged(event)) << event << " in " << logged;
  }
}

TEST_F(CachesTest, two_at_once_never_have_the_same) {
  EXPECT_NE(acquire(make_run()), acquire(make_run()));
  EXPECT_NE(acquire(make_run(), "d"), acquire(make_run(), "e"));
  EXPECT_EQ(engine.volumes.size(), 4u);
}

TEST_F(CachesTest, who_asks_again_gets_what_it_has) {
  wire::RunRef run = make_run();
  EXPECT_EQ(acquire(run), acquire(run));
  EXPECT_NE(acquire(run), acquire(run, "d"));
}

TEST_F(CachesTest, the_one_that_was_used_last_is_used_again) {
  wire::RunRef a = make_run();
  wire::RunRef b = make_run();
  wire::RunRef c = make_run();
  acquire(a);
  std::string last = acquire(b);
  acquire(c);
  release(c);
  release(a);
  release(b);
  EXPECT_EQ(acquire(make_run()), last);
}

TEST_F(CachesTest, one_that_is_free_in_a_moment_is_waited_for) {
  wire::RunRef first = make_run();
  std::string volume = acquire(first);
  caches->end_soon(first);
  auto second = env.start(caches->acquire(make_run(), "c"));
  auto third = env.start(caches->acquire(make_run(), "c"));
  EXPECT_FALSE(second->done);
  EXPECT_FALSE(third->done);
  release(first);
  EXPECT_EQ(env.finish(second), volume);
  EXPECT_NE(env.finish(third), volume);
}

TEST_F(CachesTest, but_not_for_long) {
  wire::RunRef first = make_run();
  std::string volume = acquire(first);
  caches->end_soon(first);
  Duration before = env.uptime();
  EXPECT_NE(acquire(make_run()), volume);
  EXPECT_GT(env.uptime() - before, seconds(1));
  EXPECT_LT(env.uptime() - before, seconds(10));
  wire::RunRef stuck = make_run();
  volume = acquire(stuck, "d");
  caches->end_soon(stuck);
  auto waiting = env.start(caches->acquire(make_run(), "d"));
  caches->leave(stuck);
  env.settle();
  EXPECT_TRUE(waiting->done);
}

TEST_F(CachesTest, a_purge_takes_free_ones_at_once_and_others_once_they_are_free) {
  wire::RunRef holder = make_run();
  std::string held = acquire(holder);
  std::string free = make_free();
  std::string other = make_free("other");
  request_purge(env.now());
  check_purges();
  EXPECT_FALSE(engine.volumes.contains(free));
  EXPECT_TRUE(engine.volumes.contains(held));
  wire::RunRef next = make_run();
  env.advance(seconds(1));
  std::string fresh = acquire(next);
  EXPECT_NE(fresh, held);
  release(holder);
  EXPECT_FALSE(engine.volumes.contains(held));
  release(next);
  check_purges();
  EXPECT_TRUE(engine.volumes.contains(fresh)) << "it is younger than the request";
  EXPECT_TRUE(engine.volumes.contains(other));
  EXPECT_TRUE(has_logged("cache volume purge: \"c\" " + held)) << logged;
  EXPECT_TRUE(has_logged("cache volume removed: \"c\" " + held)) << logged;
}

TEST_F(CachesTest, purges_are_asked_for_since_the_last_answer) {
  check_purges();
  EXPECT_TRUE(asked.empty()) << "there is nothing to purge";
  make_free();
  check_purges();
  EXPECT_EQ(asked, (std::vector<std::string>{"/api/purge-cache/v1/purge-cache/prov/type"}));
  Time last = env.now() - seconds(1);
  server->status = 503;
  env.advance(hours(1));
  check_purges();
  check_purges();
  EXPECT_EQ(asked.back(), "/api/purge-cache/v1/purge-cache/prov/type?since=" + format_time(last - minutes(20)));
  EXPECT_TRUE(has_logged("they are used as they are"));
  EXPECT_EQ(engine.volumes.size(), 1u);
}

TEST_F(CachesTest, purges_of_other_queues_and_answers_without_sense_change_nothing) {
  make_free();
  request_purge(env.now(), "c", "another");
  check_purges();
  for (auto nonsense : {"1", "{}", R"({"provisionerId":"prov","workerType":"type","cacheName":"c","before":"soon"})"}) {
    server->purges = nonsense;
    check_purges();
  }
  EXPECT_EQ(engine.volumes.size(), 1u);
}

TEST_F(CachesTest, who_asks_for_purges_while_others_do_waits_for_an_answer_of_its_own) {
  make_free();
  auto check = [](CacheStore& store) -> Async<std::size_t> {
    co_await store.check_purges(nullptr);
    co_return store.summary().size();
  };
  auto first = env.start(check(*caches));
  request_purge(env.now());
  std::vector<std::shared_ptr<FakeEnv::Running<std::size_t>>> later;
  for (int i = 0; i < 5; ++i) later.push_back(env.start(check(*caches)));
  EXPECT_EQ(env.finish(first), 1u) << "that request was made later";
  for (auto& one : later) EXPECT_EQ(env.finish(one), 0u);
  EXPECT_EQ(asked.size(), 2u);
}

TEST_F(CachesTest, what_a_run_condemns_goes_when_the_run_does) {
  wire::RunRef run = make_run();
  std::string c = acquire(run);
  std::string d = acquire(run, "d");
  std::string free = make_free();
  env.run(caches->condemn(run));
  EXPECT_TRUE(engine.volumes.contains(c));
  release(run);
  EXPECT_FALSE(engine.volumes.contains(c));
  EXPECT_FALSE(engine.volumes.contains(d));
  EXPECT_TRUE(engine.volumes.contains(free));
}

TEST_F(CachesTest, what_cannot_be_removed_is_removed_later_and_not_used_meanwhile) {
  std::string volume = make_free();
  engine.mounted.insert(volume);
  request_purge(env.now());
  check_purges();
  EXPECT_TRUE(engine.volumes.contains(volume));
  EXPECT_NE(acquire(make_run()), volume);
  engine.mounted.clear();
  env.run(caches->upkeep(nullptr));
  EXPECT_FALSE(engine.volumes.contains(volume));
}

TEST_F(CachesTest, after_a_restart_what_containers_hold_is_held) {
  wire::RunRef run = make_run();
  std::string held = acquire(run);
  std::string free = make_free();
  add_container(run, held + " gone");
  restart();
  EXPECT_EQ(acquire(run), held);
  EXPECT_EQ(acquire(make_run()), free);
  wire::RunRef third = make_run();
  EXPECT_NE(acquire(third), held);
  release(third);
  release(run);
  EXPECT_EQ(acquire(make_run()), held);
}

TEST_F(CachesTest, one_that_two_containers_hold_is_free_when_both_are_gone) {
  std::string volume = make_free();
  wire::RunRef old = make_run();
  wire::RunRef alive = make_run();
  add_container(old, volume);
  add_container(alive, volume);
  restart();
  release(old);
  std::string other = acquire(make_run());
  EXPECT_NE(other, volume);
  release(alive);
  EXPECT_EQ(acquire(make_run()), volume);
}

TEST_F(CachesTest, another_agents_volumes_are_not_touched) {
  std::map<std::string, std::string> labels{
      {agent_label, "you"}, {cache_label, "c"}, {cache_queue_label, pool}, {cache_made_label, "1"}};
  env.run(engine.create_volume("theirs", labels));
  labels[agent_label] = "me";
  labels.erase(cache_label);
  env.run(engine.create_volume("no cache", labels));
  restart();
  EXPECT_NE(acquire(make_run()), "theirs");
  request_purge(env.now() + hours(1));
  check_purges();
  env.run(caches->upkeep(nullptr));
  EXPECT_TRUE(engine.volumes.contains("theirs"));
  EXPECT_TRUE(engine.volumes.contains("no cache"));
}

TEST_F(CachesTest, a_cache_belongs_to_its_queue) {
  std::string volume = make_free();
  engine.volumes.at(volume).labels[cache_queue_label] = "prov/other";
  restart();
  EXPECT_NE(acquire(make_run()), volume);
  EXPECT_EQ(caches->summary().size(), 2u);
}

TEST_F(CachesTest, when_it_was_used_outlives_the_agent) {
  wire::RunRef a = make_run();
  wire::RunRef b = make_run();
  std::string last = acquire(a);
  acquire(b);
  release(b);
  release(a);
  env.run(caches->upkeep(nullptr));
  restart();
  EXPECT_EQ(acquire(make_run()), last);
}

TEST_F(CachesTest, so_does_that_it_is_not_to_be_used_again) {
  wire::RunRef run = make_run();
  std::string volume = acquire(run);
  env.run(caches->condemn(run));
  restart();
  EXPECT_NE(acquire(make_run()), volume);
}

TEST_F(CachesTest, a_damaged_file_is_no_obstacle) {
  std::string volume = make_free();
  std::ofstream(directory.file("caches.json")) << "{\"x\":";
  restart();
  EXPECT_EQ(acquire(make_run()), volume);
  EXPECT_TRUE(has_logged("caches.json cannot be read"));
}

TEST_F(CachesTest, there_are_so_many_of_one_name_and_no_more) {
  std::vector<wire::RunRef> runs;
  for (std::size_t i = 0; i < instances_per_cache_max + 2; ++i) {
    runs.push_back(make_run());
    acquire(runs.back());
  }
  EXPECT_EQ(engine.volumes.size(), instances_per_cache_max + 2) << "those in use stay";
  std::string oldest = acquire(runs[0]);
  for (auto run : runs) release(run);
  EXPECT_EQ(engine.volumes.size(), instances_per_cache_max);
  EXPECT_FALSE(engine.volumes.contains(oldest));
}

TEST_F(CachesTest, and_so_many_in_all) {
  std::string oldest = make_free("0");
  for (std::size_t i = 1; i <= instances_max; ++i) make_free(std::to_string(i));
  EXPECT_EQ(engine.volumes.size(), instances_max);
  EXPECT_FALSE(engine.volumes.contains(oldest));
}

TEST_F(CachesTest, a_leftover_holds_until_its_container_is_gone) {
  wire::RunRef run = make_run();
  std::string volume = acquire(run);
  caches->leave(run);
  auto seen = caches->leftovers();
  env.run(caches->release_leftovers(seen, {run}));
  EXPECT_NE(acquire(make_run()), volume);
  env.run(caches->release_leftovers(seen, {}));
  EXPECT_EQ(acquire(make_run()), volume);
}

TEST_F(CachesTest, a_run_that_begins_again_is_no_leftover_any_more) {
  wire::RunRef run = make_run();
  std::string volume = acquire(run);
  caches->leave(run);
  auto seen = caches->leftovers();
  EXPECT_EQ(acquire(run), volume);
  env.run(caches->release_leftovers(seen, {}));
  EXPECT_NE(acquire(make_run()), volume);
  caches->leave(run);
  env.run(caches->release_leftovers(seen, {}));
  EXPECT_EQ(caches->summary()[0].in_use, 2) << "the container that was looked for is not the one it left";
}

TEST_F(CachesTest, a_volume_that_cannot_be_made_is_no_instance) {
  engine.create_volume_fails = [](const std::string&) { throw Error(ErrorCode::unavailable, "no answer"); };
  wire::RunRef run = make_run();
  EXPECT_THROW(acquire(run), Error);
  EXPECT_TRUE(caches->summary().empty());
  engine.create_volume_fails = nullptr;
  env.run(caches->upkeep(nullptr));
  ASSERT_EQ(caches->summary().size(), 1u) << "the engine had made it after all";
  EXPECT_EQ(acquire(run), engine.volumes.begin()->first);
}

TEST_F(CachesTest, one_that_somebody_removed_is_forgotten) {
  std::string volume = make_free();
  engine.volumes.erase(volume);
  env.run(caches->upkeep(nullptr));
  EXPECT_TRUE(caches->summary().empty());
}

TEST_F(CachesTest, an_idle_agent_still_asks_for_purges) {
  make_free();
  env.run(caches->upkeep(nullptr));
  env.run(caches->upkeep(nullptr));
  EXPECT_EQ(asked.size(), 1u);
  env.advance(hours(1));
  request_purge(env.now());
  env.run(caches->upkeep(nullptr));
  EXPECT_TRUE(engine.volumes.empty());
}

TEST_F(CachesTest, the_summary_tells_what_there_is) {
  acquire(make_run());
  acquire(make_run());
  env.advance(seconds(1));
  make_free("d");
  auto summary = caches->summary();
  ASSERT_EQ(summary.size(), 2u);
  EXPECT_EQ(summary[0].name, "d");
  EXPECT_EQ(summary[0].in_use, 0);
  EXPECT_EQ(summary[1].name, "c");
  EXPECT_EQ(summary[1].task_queue, pool);
  EXPECT_EQ(summary[1].instances, 2);
  EXPECT_EQ(summary[1].in_use, 2);
  for (std::size_t i = 0; i < wire::caches_told_max + 5; ++i) make_free("n" + std::to_string(i));
  EXPECT_EQ(caches->summary().size(), wire::caches_told_max);
}

}  // namespace
}  // namespace gantry::agent
