#include "server/output/amqp_link.h"

#include <algorithm>

#include <fmt/format.h>

namespace gantry::server {
namespace {

constexpr amqp_channel_t channel = net::AmqpConnection::channel;

}  // namespace

AmqpLink::AmqpLink(const net::AmqpUrl& url, net::AmqpSocketListener listener)
    : connection_(url, "gantry events", std::move(listener)) {
  amqp_connection_state_t state = connection_.state();
  amqp_confirm_select(state, channel);
  connection_.check_reply("cannot have messages confirmed");
  for (int kind = 0; kind < wire::event_kind_count; ++kind) {
    std::string_view name = exchange_of(static_cast<wire::EventKind>(kind));
    amqp_exchange_declare(state, channel, net::amqp_view(name), amqp_cstring_bytes("topic"), 0, 1, 0, 0,
                          amqp_empty_table);
    connection_.check_reply(fmt::format("cannot declare {}", name));
    amqp_maybe_release_buffers(state);
  }
}

void AmqpLink::publish(const wire::PulseMessage& message) {
  std::vector<amqp_field_value_t> routes;
  for (const std::string& route : message.routes) routes.push_back(net::amqp_text_value(route));
  amqp_field_value_t copies{};
  copies.kind = AMQP_FIELD_KIND_ARRAY;
  copies.value.array = {static_cast<int>(routes.size()), routes.data()};
  amqp_table_entry_t header = net::amqp_entry("CC", copies);
  amqp_basic_properties_t properties{};
  properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                      AMQP_BASIC_HEADERS_FLAG;
  properties.content_type = amqp_cstring_bytes("application/json");
  properties.content_encoding = amqp_cstring_bytes("utf-8");
  properties.delivery_mode = 2;       // persistent
  properties.headers = {1, &header};  // also without routes: consumers look into it
  net::amqp_check(
      amqp_basic_publish(connection_.state(), channel, net::amqp_view(exchange_of(message.kind)),
                         net::amqp_view(message.routing_key), 0, 0, &properties, net::amqp_view(message.body)),
      "cannot send");
  ++published_;
}

bool AmqpLink::wait(Duration timeout, int wake_descriptor) {
  std::uint64_t confirmed_before = confirmed_;
  take_frames();
  if (confirmed_ != confirmed_before) return false;
  bool all = connection_.wait(timeout, wake_descriptor);
  // After a timeout too: this is where heartbeats go out and where their absence is noticed.
  take_frames();
  return all;
}

void AmqpLink::take_frames() {
  amqp_frame_t frame;
  while (connection_.next_frame(frame)) {
    if (frame.frame_type != AMQP_FRAME_METHOD) continue;
    const amqp_method_t& method = frame.payload.method;
    switch (method.id) {
      case AMQP_BASIC_ACK_METHOD: {
        const auto* ack = static_cast<const amqp_basic_ack_t*>(method.decoded);
        confirm(ack->delivery_tag, ack->multiple);
        break;
      }
      case AMQP_BASIC_NACK_METHOD: throw Error(ErrorCode::unavailable, "the broker refused a message");
      case AMQP_CONNECTION_BLOCKED_METHOD: blocked_ = true; break;
      case AMQP_CONNECTION_UNBLOCKED_METHOD: blocked_ = false; break;
      default: break;
    }
  }
}

void AmqpLink::confirm(std::uint64_t tag, bool all_before) {
  if (all_before || tag == 0) {
    confirmed_ = std::max(confirmed_, tag == 0 ? published_ : tag);
    confirmed_early_.erase(confirmed_early_.begin(), confirmed_early_.upper_bound(confirmed_));
  } else {
    confirmed_early_.insert(tag);
  }
  while (!confirmed_early_.empty() && *confirmed_early_.begin() <= confirmed_ + 1) {
    confirmed_ = std::max(confirmed_, *confirmed_early_.begin());
    confirmed_early_.erase(confirmed_early_.begin());
  }
}

}  // namespace gantry::server
