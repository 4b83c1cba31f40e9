// Sends lines as UDP datagrams to a host that is looked up again every minute. What cannot be sent at once is dropped;
// before the first look-up has ended, a bounded number of lines waits.
//
// io_context thread only. Life: construct, start(), stop().
#pragma once

#include <deque>
#include <string>

#include <sys/socket.h>

#include "base/env.h"

namespace gantry::agent {

struct UdpTarget {
  std::string host;
  std::string port;
};

/// "udp://host:port", "host:port" or any other URL with a host and a port, which 8125 stands in for. Throws
/// Error(invalid_input).
UdpTarget parse_udp_target(std::string_view url);

class UdpSender {
 public:
  UdpSender(Env& env, UdpTarget target);
  UdpSender(const UdpSender&) = delete;
  UdpSender& operator=(const UdpSender&) = delete;
  ~UdpSender();

  void start();
  /// Never blocks, never throws.
  void send(std::string line) noexcept;
  Async<> stop();

 private:
  struct Address {
    ::sockaddr_storage storage{};
    ::socklen_t bytes = 0;
  };
  static Address look_up(const UdpTarget& target);
  Async<> keep_looked_up();
  void send_now(const std::string& line) noexcept;

  Env& env_;
  UdpTarget target_;
  Address address_;
  std::deque<std::string> waiting_;
  bool looked_up_ = false;  // at least once, perhaps in vain
  int ipv4_;
  int ipv6_;
  Scope scope_;
};

}  // namespace gantry::agent
