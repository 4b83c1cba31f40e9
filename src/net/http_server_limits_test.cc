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
