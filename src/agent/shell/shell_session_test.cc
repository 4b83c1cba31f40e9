#include "agent/shell/shell_session.h"

#include <gtest/gtest.h>

#include "agent/testing/agent_world.h"
#include "net/testing/stream_pair.h"
#include "wire/shell_messages.h"

namespace gantry::agent {
namespace {

using net::WebSocket;
using net::WebSocketSide;
using wire::ShellCode;
using wire::ShellMessage;

/// A command that does as the test says.
struct FakeExec : engine::ExecSession {
  FakeOutput output;
  std::string input;
  bool input_over = false;
  bool takes_input = true;
  bool closed = false;
  int code = 0;
  std::string sizes;
  int resizes_refused = 0;
  Event news;

  Async<> write(std::string bytes) override {
    while (!takes_input) co_await news.wait();
    input += bytes;
  }
  Async<> close_input() override {
    input_over = true;
    co_return;
  }
  Async<engine::Output> read() override { return output.read(); }
  Async<> resize(int rows, int columns) override {
    if (resizes_refused-- > 0) throw Error(ErrorCode::conflict, "not yet");
    sizes += fmt::format("{}x{} ", rows, columns);
    co_return;
  }
  Async<int> exit_code() override { co_return code; }
  void close() override { closed = true; }
};

struct ExecEngine : FakeEngine {
  std::shared_ptr<FakeExec> started = std::make_shared<FakeExec>();
  std::optional<engine::ExecSpec> spec;
  std::optional<Error> refusal;
  Async<std::shared_ptr<engine::ExecSession>> exec(std::string, engine::ExecSpec wanted) override {
    if (refusal) throw Error(*refusal);
    spec = std::move(wanted);
    co_return started;
  }
};

Async<bool> to_end(Async<> work) {
  co_await std::move(work);
  co_return true;
}

Async<std::string> next(std::shared_ptr<WebSocket> socket) {
  auto message = co_await socket->read();
  co_return message ? message->bytes : "(end)";
}

struct ShellSessionTest : testing::Test {
  FakeEnv env;
  ExecEngine engine;
  FakeExec& exec = *engine.started;
  std::shared_ptr<WebSocket> client;
  std::shared_ptr<FakeEnv::Running<bool>> served;

  ~ShellSessionTest() override {
    if (!client) return;
    env.run(client->finish(true));
    env.run_until([&] { return served->done; });
  }
  void begin(bool tty = false, std::vector<std::string> command = {"cmd"}, std::string container = "c") {
    auto [near, far] = net::MemoryStream::make_pair();
    net::WebSocketLimits limits;
    limits.message_bytes_max = wire::shell_message_bytes_max;
    auto socket = std::make_shared<WebSocket>(env, near, WebSocketSide::client, limits);
    client = std::make_shared<WebSocket>(env, far, WebSocketSide::server, limits);
    wire::ShellRequest request{"s", {}, tty, std::move(command)};
    served = env.start(to_end(serve_shell(env, engine, socket, std::move(container), std::move(request))));
  }
  std::string read() { return env.run(next(client)); }
  void write(const std::string& message) { env.run(client->write_binary(message)); }
  void until(const std::function<bool()>& condition) { env.run_until(condition); }
};

TEST_F(ShellSessionTest, InputOutputAndTheExitCode) {
  begin();
  EXPECT_EQ(read(), encode_shell(ShellCode::resume)) << "ready";
  EXPECT_EQ(engine.spec->command, std::vector<std::string>{"cmd"});
  EXPECT_TRUE(engine.spec->open_stdin);
  write(encode_shell(ShellCode::input, "in"));
  until([&] { return exec.input == "in"; });
  write(encode_shell(ShellCode::end));
  until([&] { return exec.input_over; });
  exec.output.write(1, "out");
  EXPECT_EQ(read(), encode_shell(ShellCode::output, "out"));
  exec.output.write(2, "err");
  EXPECT_EQ(read(), encode_shell(ShellCode::error_output, "err"));
  exec.code = 7;
  exec.output.end();
  EXPECT_EQ(read(), encode_shell(ShellMessage{.code = ShellCode::stopped, .exit_code = 7}));
  EXPECT_EQ(read(), "(end)");
  EXPECT_TRUE(exec.closed);
}

TEST_F(ShellSessionTest, WithoutACommandThereIsAShell) {
  begin(true, {});
  EXPECT_EQ(engine.spec->command, default_shell());
  EXPECT_TRUE(engine.spec->tty);
}

TEST_F(ShellSessionTest, ATerminalFollowsItsSizeAlsoWhileTheCommandStarts) {
  exec.resizes_refused = 2;
  begin(true);
  write(encode_shell(ShellMessage{.code = ShellCode::resize, .rows = 40, .columns = 120}));
  until([&] { return exec.sizes == "40x120 "; });
  write(encode_shell(ShellCode::end));
  until([&] { return exec.input == "\x04"; });
}

TEST_F(ShellSessionTest, WithoutATerminalThereIsNoSize) {
  begin(false);
  EXPECT_EQ(read(), encode_shell(ShellCode::resume));
  write(encode_shell(ShellMessage{.code = ShellCode::resize, .rows = 40, .columns = 120}));
  EXPECT_EQ(read(), encode_shell(ShellCode::error, "cannot resize, not a tty instance"));
}

TEST_F(ShellSessionTest, AClientThatSaysPauseIsSentNothing) {
  begin();
  EXPECT_EQ(read(), encode_shell(ShellCode::resume));
  write(encode_shell(ShellCode::pause));
  env.advance(seconds(1));
  exec.output.write(1, "one");
  auto reading = env.start(next(client));
  env.advance(seconds(1));
  // One read may have been under way.
  exec.output.write(1, "two");
  env.advance(seconds(1));
  if (reading->done) reading = env.start(next(client));
  env.advance(seconds(10));
  EXPECT_FALSE(reading->done);
  write(encode_shell(ShellCode::resume));
  EXPECT_FALSE(env.finish(reading).empty());
}

TEST_F(ShellSessionTest, AClientIsToldToPauseWhileTheCommandTakesNothing) {
  exec.takes_input = false;
  begin();
  EXPECT_EQ(read(), encode_shell(ShellCode::resume));
  const std::string part(40'000, 'p');
  for (int i = 0; i < 3; ++i) write(encode_shell(ShellCode::input, part));
  EXPECT_EQ(read(), encode_shell(ShellCode::pause)) << "what has come already is kept";
  exec.takes_input = true;
  exec.news.notify_all();
  EXPECT_EQ(read(), encode_shell(ShellCode::resume));
  EXPECT_EQ(exec.input, part + part + part);
}

TEST_F(ShellSessionTest, AClientThatGoesHangsUp) {
  begin(true);
  EXPECT_EQ(read(), encode_shell(ShellCode::resume));
  env.run(client->finish(true));
  until([&] { return served->done; });
  EXPECT_EQ(exec.input, "\x03\x04");
  EXPECT_TRUE(exec.closed);
}

TEST_F(ShellSessionTest, WhatIsNoMessageEndsTheSession) {
  begin();
  EXPECT_EQ(read(), encode_shell(ShellCode::resume));
  write("\x07nonsense");
  EXPECT_EQ(read(), "(end)");
  EXPECT_EQ(client->peer_close_code(), net::close_policy);
  until([&] { return served->done; });
  EXPECT_TRUE(exec.input_over);
}

TEST_F(ShellSessionTest, ACommandThatCannotBeStartedIsAnError) {
  engine.refusal = Error(ErrorCode::conflict, "the container is not running");
  begin();
  EXPECT_EQ(read(), encode_shell(ShellCode::error, "the container is not running"));
  EXPECT_EQ(read(), "(end)");
}

TEST_F(ShellSessionTest, AContainerThatIsNotThereYetIsAnError) {
  begin(true, {}, "");
  EXPECT_EQ(read(), encode_shell(ShellCode::error, "the task's container does not run yet, or no more"));
}

}  // namespace
}  // namespace gantry::agent
