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
  {
    Spool(world.directory.file("before")).append(1, "one two three");
  }
  world.server->log = "one two";
  RunLog again = world.open("before");
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

/// Keeps work from the pool until it is told.
struct HeldEnv : FakeEnv {
  bool hold = true;
  std::deque<std::move_only_function<void()>> held;
  void run_blocking(std::move_only_function<void()> work) override {
    if (!hold) return FakeEnv::run_blocking(std::move(work));
    held.push_back(std::move(work));
  }
  /// As the pool's thread would.
  void do_one() {
    auto work = std::move(held.front());
    held.pop_front();
    work();
  }
};

/// A log whose writes stand still on the pool.
struct HeldWorld {
  HeldEnv env;
  TemporaryDirectory directory;
  std::shared_ptr<LogServer> server = std::make_shared<LogServer>();
  ServerApi api{env, server, "server", 80};
  Scope scope{env.executor(), "test"};
  std::unique_ptr<RunLog> log = open();

  std::unique_ptr<RunLog> open() {
    wire::RunRef run{TaskId(), 0};
    return std::make_unique<RunLog>(env, api, run, directory.file("spool"), [] { return Signer(); });
  }
  void begin(std::string bytes) {
    scope.spawn("write", log->write(1, std::move(bytes)));
    env.settle();
  }
  void abandon() {
    scope.cancel();
    env.settle();
  }
  ~HeldWorld() {
    env.hold = false;
    while (!env.held.empty()) env.do_one();
    scope.cancel();
    env.run(scope.join());
  }
};

TEST(RunLog, one_piece_of_work_at_a_time_uses_the_spool_also_if_its_caller_is_gone) {
  HeldWorld world;
  world.begin("one ");
  world.abandon();
  world.begin("two");
  EXPECT_EQ(world.env.held.size(), 1u) << "the first is not done";
  world.env.do_one();
  world.env.settle();
  ASSERT_EQ(world.env.held.size(), 1u);
  world.env.do_one();
  world.env.settle();
  EXPECT_EQ(world.log->bytes(), 7);
  world.env.hold = false;
  world.log->start(world.scope, "public/logs/live.log");
  world.env.run(world.log->flush(seconds(10)));
  EXPECT_EQ(world.server->log, "one two");
}

TEST(RunLog, cannot_be_opened_again_while_the_pool_writes) {
  HeldWorld world;
  world.begin("one");
  world.abandon();
  world.log.reset();
  EXPECT_THROW(world.open(), Error);
  world.env.do_one();
  world.env.settle();
  EXPECT_EQ(world.open()->spooled(1), 3);
}

TEST(RunLog, settles_once_the_pool_has_let_go) {
  HeldWorld world;
  world.begin("one");
  world.abandon();
  bool settled = false;
  auto settling = [](RunLog& log, bool& done) -> Async<> {
    co_await log.settle();
    done = true;
  };
  world.scope.spawn("settle", settling(*world.log, settled));
  world.env.settle();
  EXPECT_FALSE(settled);
  world.env.do_one();
  world.env.settle();
  EXPECT_TRUE(settled);
}

TEST(RunLog, counts_what_was_written_once_that_has_come_back_from_the_pool) {
  HeldWorld world;
  world.begin("one");
  world.env.do_one();
  EXPECT_EQ(world.log->bytes(), 0) << "the pool does not touch the io_context thread's counters";
  world.env.settle();
  EXPECT_EQ(world.log->bytes(), 3);
  EXPECT_EQ(world.log->spooled(1), 3);
}

TEST(RunLog, sends_what_an_abandoned_write_has_written) {
  HeldWorld world;
  world.log->start(world.scope, "public/logs/live.log");
  Scope writers(world.env.executor(), "writers");
  writers.spawn("write", world.log->write(1, "last words"));
  world.env.settle();
  writers.cancel();
  world.env.run(writers.join());
  world.env.hold = false;
  world.env.do_one();
  world.env.settle();
  EXPECT_EQ(world.server->log, "last words");
}

}  // namespace
}  // namespace gantry::agent
