// One connection to an AMQP 0-9-1 broker with publisher confirms, by rabbitmq-c. Everything blocks, for a bounded time:
// it belongs to a thread of its own (server/output/pulse.h). What fails throws Error(unavailable), and the link is done
// with: make a new one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/error.h"
#include "wire/pulse_messages.h"

namespace gantry::server {

struct AmqpUrl {
  bool tls = false;
  std::string user;
  std::string password;
  std::string host;
  int port = 0;
  std::string vhost;

  /// Without user and password, for logs: "amqp://host:5672/vhost".
  std::string shown() const;
};

/// "amqp(s)://user:password@host[:port][/vhost]", parts percent-encoded; an error never repeats the URL. Without a
/// vhost it is "/", as everywhere.
Result<AmqpUrl> parse_amqp_url(std::string_view url);

class AmqpLink {
 public:
  /// Told the link's socket once there is one, and -1 before it is closed: who shuts that socket down from another
  /// thread ends whatever the link waits for.
  using SocketListener = std::function<void(int)>;

  /// Connects and declares the exchange of each kind of event (topic, durable).
  AmqpLink(const AmqpUrl& url, SocketListener listener);
  ~AmqpLink();
  AmqpLink(const AmqpLink&) = delete;
  AmqpLink& operator=(const AmqpLink&) = delete;

  /// Sends one persistent message; they are counted from 1.
  void publish(const wire::PulseMessage& message);
  /// Until the broker says something, `wake_descriptor` is readable, or `timeout` has passed; takes in what the broker
  /// has said. A message that the broker refuses is an error: to keep the order, it and all after it are sent again.
  /// True if all of `timeout` has passed.
  bool wait(Duration timeout, int wake_descriptor);

  /// How many messages have been sent, and how many of these, from the first on, the broker has taken over.
  std::uint64_t published() const { return published_; }
  std::uint64_t confirmed() const { return confirmed_; }
  /// The broker asked that nothing be sent for now.
  bool blocked() const { return blocked_; }

 private:
  struct Connection;
  void open(const AmqpUrl& url);
  void take_frames();
  void confirm(std::uint64_t tag, bool all_before);

  std::unique_ptr<Connection> connection_;
  std::uint64_t published_ = 0;
  std::uint64_t confirmed_ = 0;
  std::set<std::uint64_t> confirmed_early_;  // beyond confirmed_ + 1
  bool blocked_ = false;
};

}  // namespace gantry::server
