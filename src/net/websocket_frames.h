// WebSocket framing (RFC 6455), pure: bytes to messages and back. Strict where the RFC says MUST: masks, reserved bits
// and opcodes, the order of fragments, lengths in as few bytes as possible, UTF-8 in texts, codes of a close. No
// extensions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace gantry::net {

enum class WebSocketSide { server, client };

struct WebSocketMessage {
  enum class Kind { text, binary, ping, pong, close };
  Kind kind = Kind::binary;
  std::string bytes;   // of a close: the reason
  int close_code = 0;  // of a close; 1005 if it names none
};

// The codes of a close that are used here.
inline constexpr int close_normal = 1000;
inline constexpr int close_going_away = 1001;
inline constexpr int close_protocol_error = 1002;
inline constexpr int close_no_code = 1005;  // never sent
inline constexpr int close_broken = 1006;   // never sent: the connection ended without a close
inline constexpr int close_bad_text = 1007;
inline constexpr int close_policy = 1008;
inline constexpr int close_too_large = 1009;

/// What is wrong with what the peer sent, and the code that tells it.
struct FrameFault {
  int close_code = 0;
  std::string_view reason;
};

/// Puts messages together. Holds no more than one message, one control frame and what was fed and not used yet.
class FrameReader {
 public:
  /// `side` is ours: a server reads masked frames, a client unmasked ones.
  FrameReader(WebSocketSide side, std::size_t message_bytes_max) : side_(side), message_bytes_max_(message_bytes_max) {}

  void feed(std::string_view bytes);
  /// The next message, or control frame (these may come in the middle of a fragmented message). Nothing: more bytes are
  /// wanted, or fault().
  std::optional<WebSocketMessage> next();
  /// Once there is one, nothing more is read.
  const std::optional<FrameFault>& fault() const { return fault_; }

 private:
  enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };
  struct Frame {
    Opcode opcode = Opcode::continuation;
    bool last = false;
    bool masked = false;
    std::array<std::uint8_t, 4> mask{};
    std::uint64_t bytes_left = 0;
    std::size_t mask_at = 0;
  };

  bool read_header();
  bool check_header(std::uint8_t first, std::uint64_t length);
  void take_payload();
  std::optional<WebSocketMessage> finish_frame();
  std::optional<WebSocketMessage> finish_control();
  bool fail(int code, std::string_view reason);
  static bool is_control(Opcode opcode) { return static_cast<std::uint8_t>(opcode) >= 8; }

  WebSocketSide side_;
  std::size_t message_bytes_max_;
  std::string input_;
  std::size_t used_ = 0;  // of input_
  std::optional<Frame> frame_;
  std::optional<Opcode> message_kind_;  // text or binary while a message is put together
  std::string message_;
  std::string control_;
  std::optional<FrameFault> fault_;
};

/// One unfragmented frame. `mask`: a client's frames carry one, a fresh and unpredictable one each.
std::string encode_frame(const WebSocketMessage& message, std::optional<std::array<std::uint8_t, 4>> mask);

/// The answer to a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

/// Well-formed UTF-8: no overlong forms, no surrogates, nothing past U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace gantry::net
