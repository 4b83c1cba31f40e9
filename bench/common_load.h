// A load generator for one core: N kept-alive connections on one thread, each running its own sequence of requests.
// Plain epoll and string search, because the clients share the machine with the server that is measured.
#pragma once

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace gantry::bench {

/// One client: says what to send next when the last answer is there.
class Sequence {
 public:
  virtual ~Sequence() = default;
  /// The next request, whole; empty to stop. `status` is 0 at the first call.
  virtual std::string next(int status, std::string_view body) = 0;
};

class Load {
 public:
  explicit Load(std::uint16_t port) : port_(port) {}

  /// Runs every sequence on a connection of its own until all have stopped.
  void run(std::vector<Sequence*> sequences) {
    int epoll = ::epoll_create1(0);
    std::vector<Connection> connections(sequences.size());
    std::size_t open = 0;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      connections[i].sequence = sequences[i];
      connections[i].socket = connect_socket();
      epoll_event event{EPOLLIN, {.u32 = static_cast<std::uint32_t>(i)}};
      ::epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].socket, &event);
      if (send_next(connections[i], 0, {})) ++open;
    }
    std::vector<epoll_event> events(256);
    while (open > 0) {
      int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 60'000);
      if (count == 0) fail("no answer within 60 s");
      for (int i = 0; i < count; ++i) {
        if (!receive(connections[events[static_cast<std::size_t>(i)].data.u32])) --open;
      }
    }
    for (auto& connection : connections) ::close(connection.socket);
    ::close(epoll);
  }

 private:
  struct Connection {
    Sequence* sequence = nullptr;
    int socket = -1;
    std::string input;
    std::size_t needed = 0;  // bytes of the answer, once the header is there
  };

  [[noreturn]] static void fail(std::string_view why) {
    fmt::print(stderr, "load: {}\n", why);
    std::exit(1);
  }

  int connect_socket() const {
    int handle = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(handle, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("cannot connect");
    int on = 1;
    ::setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return handle;
  }

  static bool send_next(Connection& connection, int status, std::string_view body) {
    std::string request = connection.sequence->next(status, body);
    connection.input.clear();
    connection.needed = 0;
    if (request.empty()) return false;
    if (::send(connection.socket, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      fail("cannot send");
    }
    return true;
  }

  /// False once the sequence has stopped.
  static bool receive(Connection& connection) {
    char buffer[16 * 1024];
    ssize_t got = ::recv(connection.socket, buffer, sizeof buffer, 0);
    if (got <= 0) fail("the server closed a connection");
    connection.input.append(buffer, static_cast<std::size_t>(got));
    std::string_view input = connection.input;
    if (connection.needed == 0) {
      std::size_t end = input.find("\r\n\r\n");
      if (end == std::string_view::npos) return true;
      std::size_t at = input.find("Content-Length: ");
      if (at == std::string_view::npos || at > end) at = input.find("content-length: ");
      std::size_t length = 0;
      if (at < end) std::from_chars(input.data() + at + 16, input.data() + end, length);
      connection.needed = end + 4 + length;
    }
    if (input.size() < connection.needed) return true;
    int status = 0;
    std::from_chars(input.data() + 9, input.data() + 12, status);
    std::string answer = std::move(connection.input);
    std::string_view body = std::string_view(answer).substr(answer.find("\r\n\r\n") + 4);
    return send_next(connection, status, body);
  }

  std::uint16_t port_;
};

}  // namespace gantry::bench
