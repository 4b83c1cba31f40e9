// One connection to an AMQP 0-9-1 broker, with one channel, by rabbitmq-c. Everything blocks, for a bounded time: it
// belongs to a thread of its own. What fails throws Error(unavailable), and the connection is done with: make a new
// one.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <amqp.h>

#include "base/error.h"
#include "base/time.h"
#include "net/amqp_url.h"

namespace gantry::net {

/// Told the connection's socket once there is one, and -1 before it is closed: who shuts that socket down from another
/// thread ends whatever the connection waits for.
using AmqpSocketListener = std::function<void(int)>;

class AmqpConnection {
 public:
  static constexpr amqp_channel_t channel = 1;

  /// Connects, logs in and opens the channel. `name` is for the broker's operators.
  AmqpConnection(const AmqpUrl& url, std::string_view name, AmqpSocketListener listener);
  ~AmqpConnection();
  AmqpConnection(const AmqpConnection&) = delete;
  AmqpConnection& operator=(const AmqpConnection&) = delete;

  amqp_connection_state_t state() const { return state_; }
  /// Throws what the broker said to the last call, unless that was done.
  void check_reply(std::string_view what) const;
  /// The next frame if one is there. Throws if the broker closes connection or channel. Heartbeats go out here.
  bool next_frame(amqp_frame_t& frame) const;
  /// Until there is something to read, `wake_descriptor` is readable, or `timeout` has passed. True if all of it has.
  bool wait(Duration timeout, int wake_descriptor) const;

 private:
  void open(const AmqpUrl& url, std::string_view name);
  void close();

  amqp_connection_state_t state_;
  AmqpSocketListener listener_;
  bool told_ = false;
};

/// The bytes stay the caller's.
amqp_bytes_t amqp_view(std::string_view text);
std::string amqp_text(amqp_bytes_t bytes);
amqp_field_value_t amqp_text_value(std::string_view text);
amqp_table_entry_t amqp_entry(const char* key, amqp_field_value_t value);
/// Throws if `status` is none of success.
void amqp_check(int status, std::string_view what);

}  // namespace gantry::net
