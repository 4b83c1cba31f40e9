// What happens at the bounds of a run's log and of its time, and to what goes into its log from elsewhere.
#include <gtest/gtest.h>

#include "agent/task/container_watch.h"
#include "agent/task/one_line.h"
#include "agent/testing/agent_world.h"

namespace gantry::agent {
namespace {

using State = ContainerWatch::State;

struct SmallLog : LogWorld {
  FakeEngine engine;
  std::shared_ptr<FakeOutput> attached = std::make_shared<FakeOutput>();
  ContainerWatch watch{env, engine, log, 10, [] {}, [] {}};

  ~SmallLog() {
    scope.cancel();
    env.run(scope.join());
  }
};

TEST(LogLimits, too_much_output_is_told_although_the_container_has_ended) {
  SmallLog world;
  world.watch.begin(world.scope, "c", world.attached);
  world.env.settle();
  world.engine.exit(0);
  world.env.settle();
  EXPECT_EQ(world.watch.state(), State::exited);
  world.attached->write(1, "eleven byte");
  world.attached->end();
  world.env.run(world.watch.drain());
  EXPECT_EQ(world.watch.state(), State::log_full);
  EXPECT_EQ(world.watch.exit_code(), 0);
}

Async<> ask_in_time(SmallLog& world, std::optional<bool>& in_time) {
  in_time = co_await world.watch.ended_within(seconds(60));
}

TEST(TimeLimits, a_container_that_ended_in_time_is_judged_by_its_end_although_that_was_heard_late) {
  SmallLog world;
  world.watch.begin(world.scope, "c", world.attached);
  world.env.settle();
  std::optional<bool> in_time;
  world.engine.exit_code = 3;  // nobody is told yet
  world.scope.spawn("ask", ask_in_time(world, in_time));
  world.env.settle();
  EXPECT_FALSE(in_time.has_value());
  world.engine.exit(3);
  world.env.settle();
  EXPECT_EQ(in_time, true);
  EXPECT_EQ(world.watch.exit_code(), 3);
}

TEST(TimeLimits, a_container_that_runs_has_not_ended) {
  SmallLog world;
  world.watch.begin(world.scope, "c", world.attached);
  world.env.settle();
  EXPECT_FALSE(world.env.run(world.watch.ended_within(seconds(60))));
}

TEST(TimeLimits, a_container_is_not_judged_while_the_engine_is_away) {
  SmallLog world;
  world.watch.begin(world.scope, "c", world.attached);
  world.env.settle();
  std::optional<bool> in_time;
  world.engine.go_away();
  world.engine.exit_code = 0;
  world.scope.spawn("ask", ask_in_time(world, in_time));
  world.env.advance(seconds(30));
  EXPECT_FALSE(in_time.has_value());
  world.engine.away = false;
  world.env.advance(seconds(5));
  EXPECT_EQ(in_time, true) << "it ended in time, and nobody knows how";
  EXPECT_EQ(world.watch.state(), State::engine_lost);
}

TEST(LogLimits, a_message_of_two_lines_is_one_line_of_the_log) {
  EXPECT_EQ(one_line("no space left\ntry again\r\nlater\n"), "no space left try again  later");
  EXPECT_EQ(one_line(""), "");
}

}  // namespace
}  // namespace gantry::agent
