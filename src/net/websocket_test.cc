#include "net/websocket.h"

#include "net/test_world.h"
#include "net/testing/certificates.h"

namespace gantry::net {
namespace {

using Message = std::optional<WebSocketMessage>;

WebSocketLimits quick() {
  WebSocketLimits limits;
  limits.message_bytes_max = 300'000;
  limits.queue_bytes_max = 100'000;
  limits.ping_interval = milliseconds(20);
  limits.silence_max = milliseconds(200);
  limits.stall_max = milliseconds(500);
  limits.close_timeout = milliseconds(300);
  return limits;
}

WebSocketLimits patient() {
  WebSocketLimits limits;
  limits.message_bytes_max = 300'000;
  limits.queue_bytes_max = 100'000;
  return limits;
}

Async<> echo(std::shared_ptr<WebSocket> socket) {
  while (Message message = co_await socket->read()) co_await socket->write(*message);
}

Async<> do_nothing(std::shared_ptr<WebSocket> socket) {
  while (co_await socket->read()) {
  }
}

Async<Response> take_in(Env& env, Request request, WebSocketLimits limits, WebSocketTalk talk) {
  std::optional<Error> refusal;
  try {
    co_return accept_websocket(env, request, limits, std::move(talk));
  } catch (const Error& error) {
    refusal = error;
  }
  co_return text_response(refusal->message(), 400);
}

HttpServer& serve(World& world, WebSocketTalk talk, WebSocketLimits limits = patient()) {
  return world.serve([&world, talk = std::move(talk), limits](Request request) {
    return take_in(world.env, std::move(request), limits, talk);
  });
}

Async<std::shared_ptr<WebSocket>> connect_to(World& world, int port, WebSocketLimits limits = patient()) {
  OutgoingRequest request;
  request.target = "/socket";
  auto client = world.client(port);
  co_return co_await connect_websocket(world.env, client, std::move(request), limits);
}

constexpr std::string_view handshake =
    "GET /socket HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

Async<RawPeer> shake_hands(World& world, int port) {
  RawPeer peer = co_await RawPeer::connect(world.env, port);
  co_await peer.send(std::string(handshake));
  std::string head = co_await peer.read_until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
  EXPECT_NE(head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("Connection: Upgrade\r\n"), std::string::npos) << head;
  co_return peer;
}

NET_TEST(WebSocket, MessagesGoBothWaysAndTheEndIsAgreedOn) {
  HttpServer& server = serve(world, echo);
  auto socket = co_await connect_to(world, server.port());
  for (std::size_t size : {0, 1, 126, 70'000, 300'000}) {
    co_await socket->write_binary(std::string(size, 'x'));
    Message back = co_await socket->read();
    EXPECT_TRUE(back && back->bytes == std::string(size, 'x')) << size;
  }
  co_await socket->write({WebSocketMessage::Kind::text, "text"});
  Message text = co_await socket->read();
  EXPECT_TRUE(text && text->kind == WebSocketMessage::Kind::text && text->bytes == "text");
  socket->close(close_going_away, "bye");
  Message end = co_await socket->read();
  EXPECT_FALSE(end);
  EXPECT_EQ(socket->peer_close_code(), close_going_away);
  Error closed = co_await error_from(socket->write_binary("late"));
  EXPECT_EQ(closed.code(), ErrorCode::unavailable);
  co_await socket->finish();
  co_await world.until([&] { return server.connections() == 0; });
}

Async<> send_many(std::shared_ptr<WebSocket> socket, int count) {
  for (int i = 0; i < count; ++i) co_await socket->write_binary(std::string(100'000, static_cast<char>('a' + i % 26)));
}

NET_TEST(WebSocket, OverTlsBothWaysAtOnce) {
  TestAuthority authority;
  auto files = authority.issue();
  HttpServer& server = serve(world, echo);
  server.use_tls(make_tls_server(files.certificate, files.key));
  Endpoint endpoint = value_or_throw(parse_endpoint("https://localhost:" + std::to_string(server.port())));
  endpoint.tls_files.ca = authority.file();
  OutgoingRequest request;
  request.target = "/socket";
  auto client = make_http_client(world.env, endpoint);
  auto socket = co_await connect_websocket(world.env, client, std::move(request), patient());
  Scope sender(world.env.executor(), "sender");
  sender.spawn("send", send_many(socket, 100));
  for (int i = 0; i < 100; ++i) {
    Message back = co_await socket->read();
    EXPECT_TRUE(back && back->bytes == std::string(100'000, static_cast<char>('a' + i % 26))) << i;
  }
  co_await sender.join();
  co_await socket->finish();
  EXPECT_EQ(socket->peer_close_code(), close_normal);
}

NET_TEST(WebSocket, WhatAsksForNoWebSocketIsRefused) {
  HttpServer& server = serve(world, echo);
  auto client = world.client(server.port());
  OutgoingRequest plain;
  plain.target = "/socket";
  IncomingResponse answer = co_await client->exchange(plain);
  EXPECT_EQ(answer.status, 400);
  OutgoingRequest old;
  old.target = "/socket";
  old.headers.add("Sec-WebSocket-Version", "8");
  old.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  std::exception_ptr failure;
  try {
    co_await client->upgrade(old, "websocket");
  } catch (const UpgradeRefused& refused) {
    EXPECT_EQ(refused.status(), 400);
    EXPECT_EQ(refused.body(), "only version 13 of WebSockets is spoken here");
    failure = std::current_exception();
  }
  EXPECT_TRUE(failure);
}

NET_TEST(WebSocket, AServerThatAnswersAnotherKeyIsNotBelieved) {
  HttpServer& server = world.serve([](Request) -> Async<Response> {
    Response response = text_response("", 101);
    response.headers.add("Upgrade", "websocket");
    response.headers.add("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    response.upgrade = [](std::shared_ptr<RawStream>) -> Async<> { co_return; };
    co_return response;
  });
  Error error = co_await error_from(connect_to(world, server.port()));
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
}

NET_TEST(WebSocket, BadFramesAreClosedWithTheirCode) {
  HttpServer& server = serve(world, echo);
  RawPeer unmasked = co_await shake_hands(world, server.port());
  co_await unmasked.send(encode_frame({WebSocketMessage::Kind::binary, "x"}, std::nullopt));
  unmasked.channel().shutdown_send();
  std::string answer = co_await unmasked.read_to_end();
  EXPECT_EQ(answer.substr(0, 4), "\x88\x14\x03\xea") << "1002, and why";
  RawPeer large = co_await shake_hands(world, server.port());
  co_await large.send({'\x82', '\xff', 0, 0, 0, 0, 0, 5, 0, 0, 1, 2, 3, 4});
  large.channel().shutdown_send();
  answer = co_await large.read_to_end();
  EXPECT_EQ(answer.substr(2, 2), "\x03\xf1") << "1009";
}

NET_TEST(WebSocket, APingIsAnsweredAndAPeerThatIsSilentIsGivenUp) {
  HttpServer& server = serve(world, do_nothing, quick());
  RawPeer peer = co_await shake_hands(world, server.port());
  co_await peer.send(encode_frame({WebSocketMessage::Kind::ping, "hey"}, std::array<std::uint8_t, 4>{}));
  std::string heard = co_await peer.read_to_end();  // it never answers the server's pings
  EXPECT_NE(heard.find("\x8a\x03hey"), std::string::npos);
  EXPECT_NE(heard.find(std::string("\x89\x00", 2)), std::string::npos);
}

NET_TEST(WebSocket, TwoThatAreQuietKeepEachOtherAlive) {
  HttpServer& server = serve(world, do_nothing, quick());
  auto socket = co_await connect_to(world, server.port(), quick());
  Scope reader(world.env.executor(), "reader");
  reader.spawn("read", do_nothing(socket));
  co_await world.env.sleep(milliseconds(500));  // longer than silence_max
  EXPECT_EQ(reader.size(), 1u);
  EXPECT_EQ(server.connections(), 1u);
  socket->close(close_normal, "");
  co_await reader.join();
  co_await socket->finish();
}

struct Flood {
  int written = 0;
  std::optional<Error> end{};
};

Async<> flood(std::shared_ptr<Flood> counter, std::shared_ptr<WebSocket> socket) {
  try {
    for (;;) {
      co_await socket->write_binary(std::string(50'000, 'f'));
      ++counter->written;
    }
  } catch (const Error& error) {
    counter->end = error;
  }
}

NET_TEST(WebSocket, WhoWritesWaitsForAPeerThatDoesNotRead) {
  auto counter = std::make_shared<Flood>();
  HttpServer& server =
      serve(world, [counter](std::shared_ptr<WebSocket> socket) { return flood(counter, socket); }, quick());
  RawPeer peer = co_await shake_hands(world, server.port());
  co_await world.until([&] { return counter->end.has_value(); });
  EXPECT_LT(counter->written, 400) << "20 MB: more than buffers of the system and the queue hold";
  peer.close();
  co_await world.until([&] { return server.connections() == 0; });
}

Async<> note_end(std::shared_ptr<std::optional<Error>> end, std::shared_ptr<WebSocket> socket) {
  *end = co_await error_from(do_nothing(std::move(socket)));
}

NET_TEST(WebSocket, AConnectionThatBreaksOffEndsTheReader) {
  auto ended = std::make_shared<std::optional<Error>>();
  HttpServer& server = serve(world, [ended](std::shared_ptr<WebSocket> socket) { return note_end(ended, socket); });
  RawPeer peer = co_await shake_hands(world, server.port());
  peer.close();
  co_await world.until([&] { return ended->has_value(); });
  EXPECT_EQ((*ended)->code(), ErrorCode::unavailable);
}

NET_TEST(WebSocket, AServerThatStopsEndsItsSockets) {
  HttpServer& server = serve(world, do_nothing);
  auto socket = co_await connect_to(world, server.port());
  Scope stopping(world.env.executor(), "stopping");
  stopping.spawn("stop", server.stop(milliseconds(0)));
  Error error = co_await error_from(socket->read());
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  co_await socket->finish();
  co_await stopping.join();
  EXPECT_EQ(server.connections(), 0u);
}

}  // namespace
}  // namespace gantry::net
