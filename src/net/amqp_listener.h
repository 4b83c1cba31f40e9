// Messages of an AMQP broker's exchanges, through a queue that is this connection's own and goes with it: what is sent
// while nobody listens is not seen. As net/amqp_connection.h says: for a thread of its own, and done with after an
// error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/amqp_connection.h"

namespace gantry::net {

struct AmqpBinding {
  std::string exchange;  // topic
  std::string pattern;   // of routing keys
};

struct AmqpMessage {
  std::string exchange;
  std::string routing_key;
  std::string body;  // at most amqp_message_bytes_max
};

class AmqpListener {
 public:
  /// `queue` is a name that nobody else has.
  AmqpListener(const AmqpUrl& url, const std::string& queue, const std::vector<AmqpBinding>& bindings,
               AmqpSocketListener listener);

  /// The next message; nothing if none has come before `timeout` has passed or `wake_descriptor` was readable.
  std::optional<AmqpMessage> next(Duration timeout, int wake_descriptor);

 private:
  std::optional<AmqpMessage> take();

  AmqpConnection connection_;
  AmqpMessage message_;     // what has come of one
  std::uint64_t left_ = 0;  // bytes of its body that have not
};

}  // namespace gantry::net
