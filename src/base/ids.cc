#include "base/ids.h"

#include "base/env.h"

namespace gantry {
namespace {

constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<std::int8_t, 256> make_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 64; ++i) values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  return values;
}
constexpr auto values = make_values();

}  // namespace

void encode_slug(const std::array<std::uint8_t, 16>& bytes, char* out) {
  for (std::size_t i = 0; i < 15; i += 3) {
    unsigned bits = static_cast<unsigned>(bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2]);
    *out++ = alphabet[bits >> 18];
    *out++ = alphabet[bits >> 12 & 63];
    *out++ = alphabet[bits >> 6 & 63];
    *out++ = alphabet[bits & 63];
  }
  *out++ = alphabet[bytes[15] >> 2];
  *out++ = alphabet[(bytes[15] & 3) << 4];
}

bool decode_slug(std::string_view text, std::array<std::uint8_t, 16>& bytes) {
  if (text.size() != 22) return false;
  std::uint8_t digits[24] = {};
  for (std::size_t i = 0; i < 22; ++i) {
    int value = values[static_cast<unsigned char>(text[i])];
    if (value < 0) return false;
    digits[i] = static_cast<std::uint8_t>(value);
  }
  if (digits[21] & 15) return false;
  std::array<std::uint8_t, 18> out{};
  for (std::size_t i = 0, o = 0; i < 24; i += 4, o += 3) {
    unsigned bits = static_cast<unsigned>(digits[i] << 18 | digits[i + 1] << 12 | digits[i + 2] << 6 | digits[i + 3]);
    out[o] = static_cast<std::uint8_t>(bits >> 16);
    out[o + 1] = static_cast<std::uint8_t>(bits >> 8);
    out[o + 2] = static_cast<std::uint8_t>(bits);
  }
  if ((out[6] & 0xF0) != 0x40 || (out[8] & 0xC0) != 0x80) return false;
  std::memcpy(bytes.data(), out.data(), 16);
  return true;
}

std::array<std::uint8_t, 16> random_slug(Env& env) {
  std::array<std::uint8_t, 16> bytes;
  env.random_bytes(bytes);
  bytes[0] &= 0x7F;
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3F) | 0x80);
  return bytes;
}

}  // namespace gantry
