#include "net/websocket_frames.h"

#include <algorithm>
#include <cstring>
#include <span>

#include <openssl/evp.h>

#include "base/base64.h"

namespace gantry::net {
namespace {

constexpr std::uint8_t last_bit = 0x80;
constexpr std::uint8_t reserved_bits = 0x70;
constexpr std::uint8_t opcode_bits = 0x0f;
constexpr std::uint8_t mask_bit = 0x80;
constexpr std::uint8_t length_bits = 0x7f;
constexpr std::uint8_t length_in_2 = 126;
constexpr std::uint8_t length_in_8 = 127;
constexpr std::size_t control_bytes_max = 125;
constexpr std::string_view accept_guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

/// `mask_at`: the place in the mask that the first byte meets. Eight bytes at a time, for there may be megabytes.
void apply_mask(std::span<char> bytes, const std::array<std::uint8_t, 4>& mask, std::size_t mask_at) {
  std::array<std::uint8_t, 8> wide{};
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = mask[(mask_at + i) % 4];
  std::uint64_t word = 0;
  std::memcpy(&word, wide.data(), sizeof word);
  std::size_t at = 0;
  for (; at + sizeof word <= bytes.size(); at += sizeof word) {
    std::uint64_t part = 0;
    std::memcpy(&part, bytes.data() + at, sizeof part);
    part ^= word;
    std::memcpy(bytes.data() + at, &part, sizeof part);
  }
  for (; at < bytes.size(); ++at) bytes[at] = static_cast<char>(bytes[at] ^ wide[at % wide.size()]);
}

/// What a peer may send (RFC 6455, 7.4).
bool is_close_code(int code) {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code != 1004 && code != close_no_code && code != close_broken;
}

}  // namespace

void FrameReader::feed(std::string_view bytes) {
  if (fault_) return;
  if (used_ == input_.size()) {
    input_.clear();
    used_ = 0;
  } else if (used_ > 0) {
    input_.erase(0, used_);
    used_ = 0;
  }
  input_ += bytes;
}

bool FrameReader::fail(int code, std::string_view reason) {
  fault_ = FrameFault{code, reason};
  input_.clear();
  used_ = 0;
  return false;
}

bool FrameReader::check_header(std::uint8_t first, std::uint64_t length) {
  std::uint8_t code = first & opcode_bits;
  bool known = code <= 2 || (code >= 8 && code <= 10);
  if ((first & reserved_bits) != 0) return fail(close_protocol_error, "a reserved bit is set");
  if (!known) return fail(close_protocol_error, "an unknown opcode");
  auto opcode = static_cast<Opcode>(code);
  if (is_control(opcode)) {
    if ((first & last_bit) == 0) return fail(close_protocol_error, "a control frame in fragments");
    if (length > control_bytes_max) return fail(close_protocol_error, "a control frame of more than 125 bytes");
    return true;
  }
  bool continues = opcode == Opcode::continuation;
  if (continues && !message_kind_) return fail(close_protocol_error, "a fragment of no message");
  if (!continues && message_kind_) return fail(close_protocol_error, "a message inside of another one");
  if (length > message_bytes_max_ - message_.size()) return fail(close_too_large, "a message is too large");
  return true;
}

/// False if more bytes are wanted, or at a fault.
bool FrameReader::read_header() {
  std::string_view bytes = std::string_view(input_).substr(used_);
  if (bytes.size() < 2) return false;
  auto first = static_cast<std::uint8_t>(bytes[0]);
  auto second = static_cast<std::uint8_t>(bytes[1]);
  bool masked = (second & mask_bit) != 0;
  std::uint64_t length = second & length_bits;
  std::size_t length_bytes = 0;
  if (length == length_in_2) length_bytes = 2;
  if (length == length_in_8) length_bytes = 8;
  std::size_t header_bytes = 2 + length_bytes + (masked ? 4 : 0);
  if (bytes.size() < header_bytes) return false;
  if (length_bytes > 0) {
    length = big_endian(bytes.substr(2, length_bytes));
    bool shorter = length_bytes == 2 ? length < length_in_2 : length <= 0xffff;
    if (shorter) return fail(close_protocol_error, "a length in more bytes than it needs");
    if (length >> 63 != 0) return fail(close_protocol_error, "a length of more than 63 bits");
  }
  if (masked != (side_ == WebSocketSide::server)) {
    return fail(close_protocol_error, masked ? "a server must not mask" : "a client must mask");
  }
  if (!check_header(first, length)) return false;
  Frame frame;
  frame.opcode = static_cast<Opcode>(first & opcode_bits);
  frame.last = (first & last_bit) != 0;
  frame.masked = masked;
  frame.bytes_left = length;
  if (masked) {
    std::string_view mask = bytes.substr(header_bytes - 4, 4);
    std::ranges::transform(mask, frame.mask.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  }
  if (frame.opcode == Opcode::text || frame.opcode == Opcode::binary) message_kind_ = frame.opcode;
  used_ += header_bytes;
  frame_ = frame;
  return true;
}

void FrameReader::take_payload() {
  std::string& out = is_control(frame_->opcode) ? control_ : message_;
  std::size_t bytes = std::min<std::uint64_t>(frame_->bytes_left, input_.size() - used_);
  std::size_t at = out.size();
  out.append(input_, used_, bytes);
  used_ += bytes;
  frame_->bytes_left -= bytes;
  if (!frame_->masked) return;
  apply_mask(std::span(out).subspan(at), frame_->mask, frame_->mask_at);
  frame_->mask_at = (frame_->mask_at + bytes) % 4;
}

std::optional<WebSocketMessage> FrameReader::finish_control() {
  using Kind = WebSocketMessage::Kind;
  WebSocketMessage message;
  message.bytes = std::exchange(control_, {});
  if (frame_->opcode != Opcode::close) {
    message.kind = frame_->opcode == Opcode::ping ? Kind::ping : Kind::pong;
    return message;
  }
  message.kind = Kind::close;
  message.close_code = close_no_code;
  if (message.bytes.empty()) return message;
  message.close_code = message.bytes.size() < 2 ? 0 : static_cast<int>(big_endian(message.bytes.substr(0, 2)));
  message.bytes.erase(0, 2);
  if (!is_close_code(message.close_code)) {
    fail(close_protocol_error, "a close with a code that must not be sent");
    return std::nullopt;
  }
  if (!is_utf8(message.bytes)) {
    fail(close_bad_text, "a close whose reason is not UTF-8");
    return std::nullopt;
  }
  return message;
}

std::optional<WebSocketMessage> FrameReader::finish_frame() {
  if (is_control(frame_->opcode)) return finish_control();
  if (!frame_->last) return std::nullopt;
  WebSocketMessage message;
  bool text = *message_kind_ == Opcode::text;
  message.kind = text ? WebSocketMessage::Kind::text : WebSocketMessage::Kind::binary;
  message.bytes = std::exchange(message_, {});
  message_kind_.reset();
  if (text && !is_utf8(message.bytes)) {
    fail(close_bad_text, "a text that is not UTF-8");
    return std::nullopt;
  }
  return message;
}

std::optional<WebSocketMessage> FrameReader::next() {
  while (!fault_) {
    if (!frame_ && !read_header()) return std::nullopt;
    take_payload();
    if (frame_->bytes_left > 0) return std::nullopt;
    std::optional<WebSocketMessage> message = finish_frame();
    frame_.reset();
    if (message) return message;
  }
  return std::nullopt;
}

std::string encode_frame(const WebSocketMessage& message, std::optional<std::array<std::uint8_t, 4>> mask) {
  using Kind = WebSocketMessage::Kind;
  std::uint8_t opcode = 2;
  switch (message.kind) {
    case Kind::text: opcode = 1; break;
    case Kind::binary: opcode = 2; break;
    case Kind::close: opcode = 8; break;
    case Kind::ping: opcode = 9; break;
    case Kind::pong: opcode = 10; break;
  }
  std::string prefix;
  if (message.kind == Kind::close && message.close_code != close_no_code) {
    prefix = {static_cast<char>(message.close_code >> 8), static_cast<char>(message.close_code & 0xff)};
  }
  std::uint64_t length = prefix.size() + message.bytes.size();
  GANTRY_ASSERT(opcode < 8 || length <= control_bytes_max);
  std::string out;
  out.reserve(length + 14);
  out += static_cast<char>(last_bit | opcode);
  std::uint8_t flag = mask ? mask_bit : 0;
  int length_bytes = 0;
  if (length < length_in_2) {
    out += static_cast<char>(flag | length);
  } else if (length <= 0xffff) {
    out += static_cast<char>(flag | length_in_2);
    length_bytes = 2;
  } else {
    out += static_cast<char>(flag | length_in_8);
    length_bytes = 8;
  }
  for (int i = length_bytes - 1; i >= 0; --i) out += static_cast<char>(length >> (8 * i) & 0xff);
  if (mask) {
    for (std::uint8_t byte : *mask) out += static_cast<char>(byte);
  }
  std::size_t at = out.size();
  out += prefix;
  out += message.bytes;
  if (mask) apply_mask(std::span(out).subspan(at), *mask, 0);
  return out;
}

std::string websocket_accept(std::string_view key) {
  std::string text = std::string(key) + std::string(accept_guid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int bytes = 0;
  int done = EVP_Digest(text.data(), text.size(), digest.data(), &bytes, EVP_sha1(), nullptr);
  if (done != 1) throw Error(ErrorCode::unsupported, "OpenSSL has no SHA-1, which WebSockets need");
  return base64_encode({reinterpret_cast<const char*>(digest.data()), bytes});
}

bool is_utf8(std::string_view text) {
  std::size_t at = 0;
  auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  while (at < text.size()) {
    std::uint8_t first = byte(at++);
    if (first < 0x80) continue;
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || text.size() - at < static_cast<std::size_t>(more)) return false;
    std::uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    std::uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    for (int i = 0; i < more; ++i) {
      std::uint8_t next = byte(at++);
      if (next < low || next > high) return false;
      low = 0x80;
      high = 0xbf;
    }
  }
  return true;
}

}  // namespace gantry::net
