#include "server/shells.h"

#include <gtest/gtest.h>

#include "base/testing/fake_env.h"
#include "net/testing/stream_pair.h"

namespace gantry::server {
namespace {

using net::WebSocket;
using net::WebSocketSide;
using Socket = std::shared_ptr<WebSocket>;
using Message = std::optional<net::WebSocketMessage>;

Async<bool> serve(Shells& shells, Shells::SessionPtr session, Socket socket, bool agent) {
  Async<> talk = agent ? shells.serve_agent(session, socket) : shells.serve_client(session, socket);
  co_await net::run_socket(socket, std::move(talk));
  co_return true;
}

Async<std::string> next(Socket socket) {
  Message message = co_await socket->read();
  co_return message ? message->bytes : "(end)";
}

struct ShellsTest : testing::Test {
  const NodeId node = *NodeId::parse("fN1SbArXTPSVFNUvaOlinQ");
  const TaskId task = *TaskId::parse("AAAAAAAAQACAAAAAAAAAAA");
  FakeEnv env;
  Shells shells{env};
  std::vector<std::shared_ptr<FakeEnv::Running<bool>>> served;
  std::vector<Socket> ends;

  ~ShellsTest() override {
    shells.end_all();
    for (const Socket& end : ends) env.run(end->finish(true));
    for (const auto& side : served) env.run_until([&] { return side->done; });
  }

  Shells::SessionPtr open(int run = 0) { return shells.open(node, {.session = {}, .run = {task, run}}); }

  /// Connects; the far end of the socket.
  Socket connect(const Shells::SessionPtr& session, bool agent) {
    auto [near, far] = net::MemoryStream::make_pair();
    auto socket = std::make_shared<WebSocket>(env, near, WebSocketSide::server, shell_socket_limits());
    served.push_back(env.start(serve(shells, session, socket, agent)));
    ends.push_back(std::make_shared<WebSocket>(env, far, WebSocketSide::client, shell_socket_limits()));
    return ends.back();
  }
  std::string read(const Socket& socket) { return env.run(next(socket)); }
  void write(const Socket& socket, std::string bytes) { env.run(socket->write_binary(std::move(bytes))); }
};

TEST_F(ShellsTest, MessagesGoFromOneSideToTheOtherAsTheyAre) {
  auto session = open();
  Socket client = connect(session, false);
  write(client, "before the agent came");
  ASSERT_TRUE(shells.has_news(node));
  auto news = shells.take_news(node);
  ASSERT_EQ(news.size(), 1u);
  EXPECT_FALSE(shells.has_news(node)) << "it is told once";
  Socket agent = connect(shells.claim(node, news[0].session), true);
  EXPECT_EQ(read(agent), "before the agent came");
  write(agent, std::string("\x01\x00output", 8));
  EXPECT_EQ(read(client), std::string("\x01\x00output", 8));
  write(agent, "the last");
  agent->close(net::close_normal, "");
  EXPECT_EQ(read(client), "the last");
  EXPECT_EQ(read(client), "(end)");
  EXPECT_EQ(client->peer_close_code(), net::close_normal);
  EXPECT_EQ(shells.size(), 0u);
}

TEST_F(ShellsTest, ASessionIsForOneConnectionOfItsNode) {
  auto session = open();
  const std::string id = session->request.session;
  EXPECT_THROW(shells.claim(*NodeId::parse("AAAAAAAAQACAAAAAAAAAAA"), id), Error) << "another node";
  EXPECT_EQ(shells.claim(node, id), session);
  EXPECT_THROW(shells.claim(node, id), Error) << "again";
  EXPECT_THROW(shells.claim(node, "nonsense"), Error);
}

TEST_F(ShellsTest, WhatCouldNotBeToldIsToldAgain) {
  open();
  auto news = shells.take_news(node);
  shells.put_back(news);
  EXPECT_TRUE(shells.has_news(node));
  shells.claim(node, news[0].session);
  shells.put_back(news);
  EXPECT_TRUE(shells.has_news(node) == false) << "not what the agent has taken up";
}

TEST_F(ShellsTest, AnAgentThatDoesNotComeIsWaitedFor10Seconds) {
  Socket client = connect(open(), false);
  Duration began = env.uptime();
  std::string told = read(client);
  EXPECT_EQ(told[0], '\xca');
  EXPECT_NE(told.find("did not answer within 10 s"), std::string::npos) << told;
  EXPECT_EQ(env.uptime() - began, shell_answer_max);
  EXPECT_EQ(read(client), "(end)");
  EXPECT_EQ(shells.size(), 0u);
}

TEST_F(ShellsTest, AnAgentThatComesTooLateIsSentAway) {
  auto session = open();
  Socket client = connect(session, false);
  auto claimed = shells.claim(node, session->request.session);
  env.run(client->finish());
  env.advance(shell_answer_max);
  Socket agent = connect(claimed, true);
  EXPECT_EQ(read(agent), "(end)");
  EXPECT_EQ(agent->peer_close_code(), net::close_going_away);
}

TEST_F(ShellsTest, AClientThatGoesEndsTheAgentsSide) {
  auto session = open();
  Socket client = connect(session, false);
  Socket agent = connect(shells.claim(node, session->request.session), true);
  env.run(client->finish(true));
  EXPECT_EQ(read(agent), "(end)");
  EXPECT_EQ(agent->peer_close_code(), net::close_going_away) << "it broke off";
}

TEST_F(ShellsTest, ThereIsALimitForARunAndForAll) {
  for (int i = 0; i < wire::shells_per_run_max; ++i) EXPECT_TRUE(open(3));
  EXPECT_FALSE(open(3));
  for (int run = 4; shells.size() < shells_max; ++run) {
    for (int i = 0; i < wire::shells_per_run_max; ++i) EXPECT_TRUE(open(run));
  }
  EXPECT_FALSE(open(0));
}

TEST_F(ShellsTest, TheEndOfARunEndsItsShellsALittleLater) {
  auto session = open(0);
  Socket client = connect(session, false);
  Socket agent = connect(shells.claim(node, session->request.session), true);
  auto other = open(1);
  shells.end_run({task, 0});
  write(agent, "last words");
  EXPECT_EQ(read(client), "last words");
  env.advance(shell_last_words_max);
  EXPECT_EQ(read(client), "(end)");
  EXPECT_EQ(client->peer_close_code(), net::close_going_away);
  EXPECT_TRUE(session->over);
  EXPECT_FALSE(other->over);
}

}  // namespace
}  // namespace gantry::server
