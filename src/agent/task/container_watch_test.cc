#include "agent/task/container_watch.h"

#include <gtest/gtest.h>

#include "agent/limits.h"
#include "agent/testing/agent_world.h"

namespace gantry::agent {
namespace {

using State = ContainerWatch::State;

struct WatchWorld : LogWorld {
  FakeEngine engine;
  std::shared_ptr<FakeOutput> attached = std::make_shared<FakeOutput>();
  int away = 0;
  ContainerWatch watch{env, engine, log, 1000, [] {}, [this] { ++away; }};

  void begin() {
    watch.begin(scope, "c", attached);
    env.settle();
  }
  std::string text() {
    auto overwrite = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(directory.file("spool"), directory.file("copy"), overwrite);
    Spool spool(directory.file("copy"));
    return spool.read(0, 1 << 20);
  }
  ~WatchWorld() {
    scope.cancel();
    env.run(scope.join());
  }
};

TEST(ContainerWatch, copies_the_output_and_tells_the_exit_code) {
  WatchWorld world;
  world.begin();
  world.attached->write(1, "out ");
  world.attached->write(2, "err");
  world.engine.exit(3);
  world.attached->end();
  EXPECT_TRUE(world.env.run(world.watch.drain()));
  EXPECT_EQ(world.watch.state(), State::exited);
  EXPECT_EQ(world.watch.exit_code(), 3);
  EXPECT_EQ(world.text(), "out err");
  EXPECT_EQ(world.away, 0);
}

TEST(ContainerWatch, takes_what_is_missing_from_the_engines_log_when_the_connection_breaks) {
  WatchWorld world;
  world.begin();
  world.attached->write(1, "abc");
  world.env.settle();
  world.attached->break_off();
  world.engine.followed->write(1, "ab");
  world.engine.followed->write(1, "cde");
  world.env.advance(seconds(5));
  EXPECT_EQ(world.text(), "abcde");
  EXPECT_EQ(world.watch.state(), State::running);
}

/// As after this process stood still while the container ended and then its engine was killed.
TEST(ContainerWatch, reads_the_stored_log_where_the_connection_ends_after_a_silence) {
  WatchWorld world;
  world.begin();
  world.attached->write(1, "first, ");
  world.env.advance(seconds(60));
  world.engine.stored = "first, and last";
  world.engine.exit(0);
  world.attached->end();
  EXPECT_TRUE(world.env.run(world.watch.drain()));
  EXPECT_EQ(world.text(), "first, and last");
}

TEST(ContainerWatch, reads_the_stored_log_once_more_where_a_followed_one_ends_early) {
  WatchWorld world;
  world.attached = nullptr;  // taken up after a restart
  world.begin();
  world.engine.followed->write(1, "line\n");
  world.engine.stored = "line\nthe end, open";
  world.engine.followed->end();
  world.engine.exit(0);
  world.env.settle();
  EXPECT_TRUE(world.env.run(world.watch.drain()));
  EXPECT_EQ(world.text(), "line\nthe end, open");
}

TEST(ContainerWatch, waits_for_an_engine_that_comes_back_with_the_container_running) {
  WatchWorld world;
  world.begin();
  world.engine.go_away();
  world.env.advance(seconds(20));
  EXPECT_GT(world.away, 0);
  world.engine.away = false;
  world.env.advance(seconds(5));
  EXPECT_EQ(world.watch.state(), State::running);
  world.engine.exit(0);
  world.env.advance(seconds(5));
  EXPECT_EQ(world.watch.state(), State::exited);
}

TEST(ContainerWatch, does_not_believe_an_exit_that_it_has_not_seen) {
  WatchWorld world;
  world.begin();
  world.engine.go_away();
  world.env.advance(seconds(5));
  world.engine.exit_code = 0;
  world.engine.away = false;
  world.env.advance(seconds(5));
  EXPECT_EQ(world.watch.state(), State::engine_lost);
}

TEST(ContainerWatch, gives_an_engine_up_in_the_end) {
  WatchWorld world;
  world.begin();
  world.engine.go_away();
  world.env.advance(engine_patience + seconds(5));
  EXPECT_EQ(world.watch.state(), State::engine_lost);
}

TEST(ContainerWatch, takes_an_exit_for_an_interruption_while_the_engine_is_being_stopped) {
  for (int code : {0, 143}) {
    WatchWorld world;
    world.begin();
    world.engine.stopping = true;
    world.engine.exit(code);
    world.env.settle();
    EXPECT_EQ(world.watch.state(), State::engine_lost);
    EXPECT_FALSE(world.watch.exit_code());
    EXPECT_EQ(world.away, 1);
  }
}

TEST(ContainerWatch, stops_reading_at_the_logs_limit) {
  WatchWorld world;
  world.begin();
  world.attached->write(1, std::string(900, 'y'));
  world.attached->write(1, std::string(200, 'y'));
  world.env.settle();
  EXPECT_EQ(world.watch.state(), State::log_full);
  EXPECT_EQ(world.text().size(), 900u);
  world.engine.exit(137);
  world.env.run(world.watch.await_exit(seconds(20)));
  EXPECT_EQ(world.watch.exit_code(), 137);
}

TEST(ContainerWatch, does_not_wait_for_ever_for_output_that_does_not_end) {
  WatchWorld world;
  world.begin();
  world.attached->write(1, "some");
  world.engine.exit(0);
  world.env.settle();
  Duration began = world.env.uptime();
  EXPECT_FALSE(world.env.run(world.watch.drain()));
  EXPECT_LT(world.env.uptime() - began, seconds(30));
}

}  // namespace
}  // namespace gantry::agent
