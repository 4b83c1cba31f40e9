// The server at its limits: connections, files, many clients, addresses that cannot be bound.
#include <sys/resource.h>
#include <unistd.h>

#include "net/test_world.h"

namespace gantry::net {
namespace {

const std::string hello = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";

Async<Response> say_target(Request request) { co_return text_response(request.target); }
Async<Response> echo(Request request) {
  std::string body = co_await read_all(*request.body, 1 << 20);
  co_return text_response("POST " + body);
}

NET_TEST(HttpServer, LimitsConnections) {
  ServerLimits limits;
  limits.connections_max = 2;
  auto& server = world.serve(say_target, limits);
  std::vector<RawPeer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(co_await RawPeer::connect(world.env, server.port()));
    co_await peers.back().send(hello);
  }
  co_await peers[0].read_until("/hello");
  co_await peers[1].read_until("/hello");
  EXPECT_EQ(server.connections(), 2u);
  peers[0].close();
  co_await peers[2].read_until("/hello");
  EXPECT_EQ(server.connections(), 2u);
}

Async<> exchange_many(std::shared_ptr<Transport> client, int number, int& answered) {
  for (int i = 0; i < 20; ++i) {
    OutgoingRequest request;
    request.method = Method::post;
    request.target = "/";
    request.body = std::to_string(number * 1000 + i);
    std::string expected = "POST " + request.body;
    IncomingResponse response = co_await client->exchange(std::move(request));
    EXPECT_EQ(response.body, expected);
    ++answered;
  }
}

NET_TEST(HttpServer, ServesAHundredAtATime) {
  auto& server = world.serve(echo);
  auto client = world.client(server.port(), 100);
  int answered = 0;
  Scope scope(world.env.executor(), "clients");
  for (int i = 0; i < 100; ++i) scope.spawn("client", exchange_many(client, i, answered));
  co_await scope.join();
  EXPECT_EQ(answered, 2000);
  EXPECT_EQ(server.connections(), 100u);
}

/// Another body, and how much of it was read.
class MeasuredBody : public BodyReader {
 public:
  MeasuredBody(std::shared_ptr<BodyReader> body, std::size_t& read) : body_(std::move(body)), read_(read) {}
  Async<std::string> read_some() override {
    std::string piece = co_await body_->read_some();
    read_ += piece.size();
    co_return piece;
  }
  void keep(std::size_t bytes) override { body_->keep(bytes); }

 private:
  std::shared_ptr<BodyReader> body_;
  std::size_t& read_;
};

Async<Response> take_body(Request request, std::size_t& read) {
  std::string refused;
  try {
    MeasuredBody body(request.body, read);
    std::string bytes = co_await read_all(body, 10 << 20);
    co_return text_response("took " + std::to_string(bytes.size()) + ".");
  } catch (const Error& error) {
    refused = error_code_name(error.code());
  }
  co_return text_response(refused + ".", 503);
}

NET_TEST(HttpServer, BoundsTheBodiesOfAllRequestsTogether) {
  ServerLimits limits;
  limits.bodies_bytes_max = 1'000'000;
  std::size_t read = 0;
  auto& server = world.serve([&read](Request request) { return take_body(std::move(request), read); }, limits);
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 800000\r\n\r\n";
  RawPeer first = co_await RawPeer::connect(world.env, server.port());
  co_await first.send(head + std::string(600'000, 'x'));
  co_await world.until([&read] { return read == 600'000; });
  RawPeer second = co_await RawPeer::connect(world.env, server.port());
  co_await second.send(head + std::string(600'000, 'x'));
  std::string refusal = co_await second.read_until("unavailable.");
  EXPECT_TRUE(refusal.starts_with("HTTP/1.1 503"));
  second.close();
  co_await first.send(std::string(200'000, 'x'));
  co_await first.read_until("took 800000.");
  co_await first.send(head + std::string(800'000, 'x'));
  co_await first.read_until("took 800000.");
  RawPeer third = co_await RawPeer::connect(world.env, server.port());
  co_await third.send(head + std::string(800'000, 'x'));
  co_await third.read_until("took 800000.");
}

NET_TEST(HttpServer, ABodyThatBreaksOffNoLongerCounts) {
  ServerLimits limits;
  limits.bodies_bytes_max = 1'000'000;
  std::size_t read = 0;
  auto& server = world.serve([&read](Request request) { return take_body(std::move(request), read); }, limits);
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 800000\r\n\r\n";
  for (std::size_t i = 1; i <= 3; ++i) {
    RawPeer peer = co_await RawPeer::connect(world.env, server.port());
    co_await peer.send(head + std::string(600'000, 'x'));
    co_await world.until([&] { return read == i * 600'000; });
    peer.close();
    co_await world.until([&server] { return server.connections() == 0; });
  }
}

/// Lets this process open no more files while it exists.
class NoMoreFiles {
 public:
  NoMoreFiles() {
    getrlimit(RLIMIT_NOFILE, &before_);
    int lowest_free = dup(0);
    close(lowest_free);
    rlimit now = before_;
    now.rlim_cur = static_cast<rlim_t>(lowest_free);
    setrlimit(RLIMIT_NOFILE, &now);
  }
  NoMoreFiles(const NoMoreFiles&) = delete;
  NoMoreFiles& operator=(const NoMoreFiles&) = delete;
  ~NoMoreFiles() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

NET_TEST(HttpServer, GoesOnOnceItHasFilesAgain) {
  auto& server = world.serve(say_target);
  LogCapture log;
  StreamSocket socket(world.env.executor());
  socket.open(asio::ip::tcp::v4());
  auto no_more_files = std::make_unique<NoMoreFiles>();
  asio::ip::tcp::endpoint address(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(server.port()));
  co_await socket.async_connect(asio::generic::stream_protocol::endpoint(address), use_async);
  RawPeer peer(world.env, std::move(socket));
  co_await peer.send(hello);
  co_await world.until([&log] { return !log.lines.empty(); });
  EXPECT_NE(log.lines.at(0).find("Too many open files"), std::string::npos) << log.lines.at(0);
  no_more_files.reset();
  co_await peer.read_until("/hello");
  EXPECT_EQ(log.lines.size(), 1u) << log.lines.back();
}

TEST(HttpServerListen, RefusesWhatItCannotBind) {
  World world;
  FunctionHandler handler;
  for (auto address : {"", "8080", "127.0.0.1:", "127.0.0.1:x", "example.org:80", "127.0.0.1:70000"}) {
    EXPECT_THROW(HttpServer(world.env, address, handler), Error) << address;
  }
  HttpServer first(world.env, "127.0.0.1:0", handler);
  EXPECT_THROW(HttpServer(world.env, "127.0.0.1:" + std::to_string(first.port()), handler), Error);
}

}  // namespace
}  // namespace gantry::net
