#include "agent/udp_sender.h"

#include <cstring>

#include <fmt/format.h>
#include <netdb.h>
#include <unistd.h>

#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr Duration look_up_interval = seconds(60);
constexpr std::size_t waiting_lines_max = 1000;
constexpr std::size_t line_bytes_max = 1400;  // of a datagram that is not fragmented
constexpr std::string_view default_port = "8125";

}  // namespace

UdpTarget parse_udp_target(std::string_view url) {
  std::string_view rest = url;
  if (auto scheme = rest.find("://"); scheme != std::string_view::npos) rest.remove_prefix(scheme + 3);
  rest = rest.substr(0, rest.find('/'));
  UdpTarget target;
  auto bracket = rest.find(']');
  if (rest.starts_with('[') && bracket != std::string_view::npos) {
    target.host = rest.substr(1, bracket - 1);
    rest.remove_prefix(bracket + 1);
  } else {
    target.host = rest.substr(0, rest.find(':'));
    rest.remove_prefix(target.host.size());
  }
  target.port = rest.starts_with(':') ? std::string(rest.substr(1)) : std::string(default_port);
  bool digits = target.port.find_first_not_of("0123456789") == std::string::npos;
  bool port_is_good = digits && !target.port.empty() && target.port.size() <= 5 && std::stoi(target.port) > 0 &&
                      std::stoi(target.port) <= 65535;
  if (target.host.empty() || !port_is_good || (!rest.empty() && !rest.starts_with(':'))) {
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is no place to send metrics to", url),
                "write udp://HOST:PORT");
  }
  return target;
}

UdpSender::UdpSender(Env& env, UdpTarget target)
    : env_(env),
      target_(std::move(target)),
      ipv4_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      ipv6_(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      scope_(env.executor(), "metrics") {}

UdpSender::~UdpSender() {
  if (ipv4_ >= 0) ::close(ipv4_);
  if (ipv6_ >= 0) ::close(ipv6_);
}

void UdpSender::start() { scope_.spawn("look up", keep_looked_up()); }

Async<> UdpSender::stop() {
  scope_.cancel();
  co_await scope_.join();
}

/// On the blocking pool; the system's resolver has limits of its own.
UdpSender::Address UdpSender::look_up(const UdpTarget& target) {
  ::addrinfo wanted{};
  wanted.ai_socktype = SOCK_DGRAM;
  ::addrinfo* found = nullptr;
  Address address;
  if (::getaddrinfo(target.host.c_str(), target.port.c_str(), &wanted, &found) != 0) return address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.bytes = found->ai_addrlen;
  ::freeaddrinfo(found);
  return address;
}

Async<> UdpSender::keep_looked_up() {
  bool told = false;
  for (;;) {
    Address address = co_await env_.blocking([target = target_] { return look_up(target); });
    if (address.bytes > 0) address_ = address;
    if (address.bytes == 0 && !told) log_warning("metrics go nowhere: there is no host {}", target_.host);
    told = address.bytes == 0;
    looked_up_ = true;
    for (const std::string& line : waiting_) send_now(line);
    waiting_.clear();
    co_await env_.sleep(look_up_interval);
  }
}

void UdpSender::send(std::string line) noexcept {
  if (line.size() > line_bytes_max) return;
  if (looked_up_) {
    send_now(line);
  } else if (waiting_.size() < waiting_lines_max) {
    waiting_.push_back(std::move(line));
  }
}

void UdpSender::send_now(const std::string& line) noexcept {
  if (address_.bytes == 0) return;
  int socket = address_.storage.ss_family == AF_INET6 ? ipv6_ : ipv4_;
  [[maybe_unused]] auto sent = ::sendto(socket, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                        reinterpret_cast<const ::sockaddr*>(&address_.storage), address_.bytes);
}

}  // namespace gantry::agent
