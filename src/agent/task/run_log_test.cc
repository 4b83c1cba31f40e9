#include "agent/task/run_log.h"

#include <gtest/gtest.h>

#include "agent/limits.h"
#include "agent/testing/agent_world.h"

namespace gantry::agent {
namespace {

TEST(RunLog, sends_what_is_written_in_order) {
  LogWorld world;
  world.env.run(world.log.write(1, "before the start\n"));
  world.log.start(world.scope, "public/logs/live.log");
  world.env.run(world.log.write(2, "then\n"));
  world.env.run(world.log.flush(seconds(10)));
  EXPECT_EQ(world.server->log, "before the start\nthen\n");
}

TEST(RunLog, goes_on_where_the_server_is_after_a_restart) {
  LogWorld world;
  world.env.run(world.log.write(1, "one two three"));
  world.server->log = "one two";
  RunLog again = world.open();
  EXPECT_EQ(again.spooled(1), 13);
  again.start(world.scope, "public/logs/live.log");
  world.env.run(again.flush(seconds(10)));
  EXPECT_EQ(world.server->log, "one two three");
  world.scope.cancel();
  world.env.run(world.scope.join());
}

TEST(RunLog, waits_for_a_server_that_is_away) {
  LogWorld world;
  bool away = true;
  world.server->answer = [&](const net::OutgoingRequest&) -> std::optional<net::IncomingResponse> {
    if (away) throw Error(ErrorCode::unavailable, "away");
    return std::nullopt;
  };
  world.log.start(world.scope, "public/logs/live.log");
  world.env.run(world.log.write(1, "kept"));
  world.env.advance(minutes(10));
  EXPECT_LT(world.server->requests, 200);
  away = false;
  world.env.run(world.log.flush(minutes(1)));
  EXPECT_EQ(world.server->log, "kept");
}

TEST(RunLog, tells_when_the_server_refuses_it) {
  LogWorld world;
  world.server->answer = [](const net::OutgoingRequest&) {
    net::IncomingResponse response;
    response.status = 413;
    return std::optional(response);
  };
  world.log.start(world.scope, "public/logs/live.log");
  world.env.run(world.log.write(1, "too much"));
  EXPECT_THROW(world.env.run(world.log.flush(minutes(1))), Error);
  EXPECT_EQ(world.log.shipped(), 0);
}

TEST(RunLog, gives_up_after_its_patience) {
  LogWorld world;
  world.server->answer = [](const net::OutgoingRequest&) -> std::optional<net::IncomingResponse> {
    throw Error(ErrorCode::unavailable, "away");
  };
  world.log.start(world.scope, "public/logs/live.log");
  world.env.run(world.log.write(1, "kept"));
  Duration began = world.env.uptime();
  EXPECT_THROW(world.env.run(world.log.flush(seconds(30))), Error);
  EXPECT_LT(world.env.uptime() - began, seconds(35));
}

TEST(RunLog, ends_an_open_line_before_one_of_its_own) {
  LogWorld world;
  world.log.start(world.scope, "public/logs/live.log");
  world.env.run(world.log.write(1, "open"));
  world.env.run(world.log.error_line("ours"));
  world.env.run(world.log.flush(seconds(10)));
  EXPECT_EQ(world.server->log, "open\r\n[taskcluster:error] ours\n");
}

}  // namespace
}  // namespace gantry::agent
