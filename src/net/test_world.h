// What the tests of net/ share: an io_context with a real Env, servers on free ports, and peers that speak raw bytes.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <gtest/gtest.h>

#include "base/log.h"
#include "net/channel.h"
#include "net/deadline.h"
#include "net/http_client.h"
#include "net/http_server.h"

namespace gantry::net {

inline constexpr Duration test_patience = seconds(20);

struct FunctionHandler : Handler {
  std::function<Async<Response>(Request)> function;
  Async<Response> handle(Request request) override { return function(std::move(request)); }
};

struct World {
  asio::io_context io{1};
  SystemEnv env{io, 1};
  std::vector<std::unique_ptr<FunctionHandler>> handlers;
  std::vector<std::unique_ptr<HttpServer>> servers;

  HttpServer& serve(std::function<Async<Response>(Request)> function, ServerLimits limits = {}) {
    handlers.push_back(std::make_unique<FunctionHandler>());
    handlers.back()->function = std::move(function);
    servers.push_back(std::make_unique<HttpServer>(env, "127.0.0.1:0", *handlers.back(), limits));
    servers.back()->start();
    return *servers.back();
  }

  std::shared_ptr<Transport> client(int port, std::size_t idle_max = 64) {
    return make_http_client(env, value_or_throw(parse_endpoint("http://127.0.0.1:" + std::to_string(port))), idle_max);
  }

  Async<> until(std::function<bool()> condition) {
    Duration end = env.uptime() + test_patience;
    while (!condition()) {
      if (env.uptime() > end) throw Error(ErrorCode::deadline_exceeded, "the awaited condition did not come true");
      co_await env.sleep(milliseconds(1));
    }
  }

  /// Runs a test's coroutine to its end, then stops the servers.
  void run(Async<> test) {
    Scope scope(io.get_executor(), "test");
    std::exception_ptr failure;
    scope.spawn("body", guard(std::move(test), failure));
    io.run();  // until guard() stops it: a timer that was cancelled may still be armed
    io.restart();
    io.poll();
    EXPECT_EQ(scope.size(), 0u) << "the test hangs";
    EXPECT_FALSE(failure) << error_of(failure).message();
  }

 private:
  Async<> guard(Async<> test, std::exception_ptr& failure) {
    try {
      co_await std::move(test);
    } catch (...) {
      failure = std::current_exception();
    }
    for (auto& server : servers) co_await server->stop(Duration(0));
    io.stop();
  }
};

/// One end of a connection, byte by byte.
class RawPeer {
 public:
  RawPeer(Env& env, StreamSocket socket) : env_(&env), channel_(std::make_unique<Channel>(std::move(socket))) {}

  static Async<RawPeer> connect(Env& env, int port) {
    StreamSocket socket(env.executor());
    asio::ip::tcp::endpoint server(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port));
    co_await socket.async_connect(asio::generic::stream_protocol::endpoint(server), use_async);
    co_return RawPeer(env, std::move(socket));
  }

  Async<> send(std::string bytes) {
    IoError error = co_await channel_->write_all(Pieces{{bytes, {}, {}}});
    if (error) throw boost::system::system_error(error);
  }

  /// Everything up to and with `marker`.
  Async<std::string> read_until(std::string marker) {
    Deadline deadline(*env_, test_patience);
    deadline.breaks_off([this] { channel_->close(); });
    while (channel_->input().view().find(marker) == std::string_view::npos) {
      IoError error = co_await channel_->fill(1 << 20);
      if (error)
        throw Error(ErrorCode::unavailable, "no \"" + marker + "\" in: " + std::string(channel_->input().view()));
    }
    co_return take(channel_->input().view().find(marker) + marker.size());
  }

  /// Everything up to the end of the connection.
  Async<std::string> read_to_end() {
    Deadline deadline(*env_, test_patience);
    deadline.breaks_off([this] { channel_->close(); });
    std::string all;
    while (true) {
      all += take(channel_->input().view().size());
      IoError error = co_await channel_->fill(1 << 20);
      if (error && deadline.expired()) throw Error(ErrorCode::deadline_exceeded, "the connection stays open");
      if (error) co_return all + take(channel_->input().view().size());
    }
  }

  Channel& channel() { return *channel_; }
  void close() { channel_->close(); }

 private:
  std::string take(std::size_t bytes) {
    std::string out(channel_->input().view().substr(0, bytes));
    channel_->input().consume(bytes);
    return out;
  }

  Env* env_;
  std::unique_ptr<Channel> channel_;
};

inline Response text_response(std::string body, int status = 200) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

/// Collects the program's log lines instead of printing them.
class LogCapture {
 public:
  LogCapture() {
    set_log_sink([this](LogLevel, std::string_view line) { lines.emplace_back(line); });
  }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  ~LogCapture() { set_log_sink(nullptr); }
  std::vector<std::string> lines;
};

/// A body of `bytes_max` bytes, made as it is read; counts how far it got.
class CountedBody : public BodyReader {
 public:
  explicit CountedBody(std::size_t bytes_max) : left_(bytes_max) {}
  Async<std::string> read_some() override {
    std::size_t bytes = std::min<std::size_t>(left_, 50'000);
    left_ -= bytes;
    co_return std::string(bytes, 'x');
  }

 private:
  std::size_t left_;
};

/// The error that `work` ends with; fails the test if it does not.
template <class T>
Async<Error> error_from(Async<T> work) {
  std::exception_ptr failure;
  try {
    co_await std::move(work);
  } catch (...) {
    failure = std::current_exception();
  }
  EXPECT_TRUE(failure) << "no error";
  co_return failure ? error_of(failure) : Error(ErrorCode::internal, "no error");
}

}  // namespace gantry::net

/// A test whose body is a coroutine with a World.
#define NET_TEST(suite, name)                                       \
  static gantry::Async<> suite##_##name(gantry::net::World& world); \
  TEST(suite, name) {                                               \
    gantry::net::World world;                                       \
    world.run(suite##_##name(world));                               \
  }                                                                 \
  static gantry::Async<> suite##_##name(gantry::net::World& world)
