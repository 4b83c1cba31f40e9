// WebSocket frames from arbitrary bytes, in pieces: no crash, never more than a message at once, and what was read is
// read again from its own encoding.
#include <cstddef>
#include <cstdint>

#include "net/websocket_frames.h"

namespace gantry::net {
namespace {

constexpr std::size_t message_bytes_max = 300;

void try_again(const WebSocketMessage& message, WebSocketSide side) {
  std::optional<std::array<std::uint8_t, 4>> mask;
  if (side == WebSocketSide::server) mask = {1, 2, 3, 4};
  FrameReader reader(side, message_bytes_max);
  reader.feed(encode_frame(message, mask));
  auto again = reader.next();
  GANTRY_ASSERT(again && again->kind == message.kind && again->bytes == message.bytes);
  GANTRY_ASSERT(again->close_code == message.close_code);
}

void read(std::string_view input, WebSocketSide side, std::size_t piece_bytes) {
  FrameReader reader(side, message_bytes_max);
  while (!input.empty()) {
    std::size_t bytes = std::min(piece_bytes, input.size());
    reader.feed(input.substr(0, bytes));
    input.remove_prefix(bytes);
    while (auto message = reader.next()) {
      GANTRY_ASSERT(message->bytes.size() <= message_bytes_max);
      GANTRY_ASSERT(message->kind != WebSocketMessage::Kind::text || is_utf8(message->bytes));
      try_again(*message, side);
    }
    GANTRY_ASSERT(!reader.fault() || reader.fault()->close_code >= close_normal);
  }
}

}  // namespace
}  // namespace gantry::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gantry::net::WebSocketSide;
  if (size < 2) return 0;
  std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  gantry::net::read(input, data[0] % 2 == 0 ? WebSocketSide::server : WebSocketSide::client, 1 + data[0] / 2);
  return 0;
}
