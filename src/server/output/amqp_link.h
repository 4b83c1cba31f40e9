// A connection to an AMQP broker with publisher confirms. As net/amqp_connection.h says: for a thread of its own
// (server/output/pulse.h), and done with after an error.
#pragma once

#include <cstdint>
#include <set>

#include "net/amqp_connection.h"
#include "wire/pulse_messages.h"

namespace gantry::server {

class AmqpLink {
 public:
  /// Connects and declares the exchange of each kind of event (topic, durable).
  AmqpLink(const net::AmqpUrl& url, net::AmqpSocketListener listener);

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
  void take_frames();
  void confirm(std::uint64_t tag, bool all_before);

  net::AmqpConnection connection_;
  std::uint64_t published_ = 0;
  std::uint64_t confirmed_ = 0;
  std::set<std::uint64_t> confirmed_early_;  // beyond confirmed_ + 1
  bool blocked_ = false;
};

}  // namespace gantry::server
