#include "net/amqp_listener.h"

#include <utility>

#include <fmt/format.h>

#include "net/limits.h"

namespace gantry::net {
namespace {

constexpr amqp_channel_t channel = AmqpConnection::channel;

}  // namespace

AmqpListener::AmqpListener(const AmqpUrl& url, const std::string& queue, const std::vector<AmqpBinding>& bindings,
                           AmqpSocketListener listener)
    : connection_(url, "gantry agent", std::move(listener)) {
  amqp_connection_state_t state = connection_.state();
  // Not passive, not durable, exclusive, deleted with its consumer.
  amqp_queue_declare(state, channel, amqp_view(queue), 0, 0, 1, 1, amqp_empty_table);
  connection_.check_reply("cannot make a queue");
  for (const AmqpBinding& binding : bindings) {
    amqp_queue_bind(state, channel, amqp_view(queue), amqp_view(binding.exchange), amqp_view(binding.pattern),
                    amqp_empty_table);
    connection_.check_reply(fmt::format("cannot listen to {}", binding.exchange));
  }
  // Without acknowledgements: nothing is kept for us anyway.
  amqp_basic_consume(state, channel, amqp_view(queue), amqp_empty_bytes, 0, 1, 1, amqp_empty_table);
  connection_.check_reply("cannot listen");
}

std::optional<AmqpMessage> AmqpListener::next(Duration timeout, int wake_descriptor) {
  if (auto message = take()) return message;
  connection_.wait(timeout, wake_descriptor);
  return take();
}

std::optional<AmqpMessage> AmqpListener::take() {
  amqp_frame_t frame;
  while (connection_.next_frame(frame)) {
    switch (frame.frame_type) {
      case AMQP_FRAME_METHOD: {
        if (frame.payload.method.id == AMQP_BASIC_CANCEL_METHOD) {
          throw Error(ErrorCode::unavailable, "the broker has removed the queue");
        }
        if (frame.payload.method.id != AMQP_BASIC_DELIVER_METHOD) break;
        const auto* deliver = static_cast<const amqp_basic_deliver_t*>(frame.payload.method.decoded);
        message_ = {amqp_text(deliver->exchange), amqp_text(deliver->routing_key), {}};
        break;
      }
      case AMQP_FRAME_HEADER:
        left_ = frame.payload.properties.body_size;
        if (left_ > amqp_message_bytes_max) {
          throw Error(ErrorCode::too_large, fmt::format("a message of {} bytes is too long", left_));
        }
        if (left_ == 0) return std::exchange(message_, {});
        break;
      case AMQP_FRAME_BODY:
        message_.body += amqp_text(frame.payload.body_fragment);
        left_ -= std::min<std::uint64_t>(left_, frame.payload.body_fragment.len);
        if (left_ == 0) return std::exchange(message_, {});
        break;
      default: break;
    }
  }
  return std::nullopt;
}

}  // namespace gantry::net
