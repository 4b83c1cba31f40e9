#include "base/base64.h"

#include <array>
#include <cstdint>

namespace gantry {
namespace {

constexpr char standard_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::uint8_t bad = 0xFF;
using Values = std::array<std::uint8_t, 256>;

constexpr Values values_of(const char* alphabet) {
  Values values{};
  values.fill(bad);
  for (int i = 0; i < 64; ++i) values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return values;
}
constexpr Values standard_values = values_of(standard_alphabet);
constexpr Values url_values = values_of(url_alphabet);

void append_encoded(std::string& out, std::string_view bytes, const char* alphabet, bool padded) {
  std::size_t at = out.size();
  std::size_t rest = bytes.size() % 3;
  out.resize(at + bytes.size() / 3 * 4 + (rest == 0 ? 0 : padded ? 4 : rest + 1), '=');
  char* to = out.data() + at;
  auto byte = [&bytes](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[i])); };
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    unsigned bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    *to++ = alphabet[bits >> 18];
    *to++ = alphabet[bits >> 12 & 63];
    *to++ = alphabet[bits >> 6 & 63];
    *to++ = alphabet[bits & 63];
  }
  if (rest == 0) return;
  unsigned bits = byte(i) << 16 | (rest == 2 ? byte(i + 1) << 8 : 0);
  *to++ = alphabet[bits >> 18];
  *to++ = alphabet[bits >> 12 & 63];
  if (rest == 2) *to = alphabet[bits >> 6 & 63];
}

/// `text` is without padding here.
std::optional<std::string> decode(std::string_view text, const Values& values) {
  std::size_t rest = text.size() % 4;
  if (rest == 1) return std::nullopt;
  std::string out(text.size() / 4 * 3 + (rest == 0 ? 0 : rest - 1), '\0');
  char* to = out.data();
  auto value = [&](std::size_t i) { return static_cast<unsigned>(values[static_cast<unsigned char>(text[i])]); };
  unsigned seen = 0;  // has a bit above the low six set if any character was bad
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    unsigned a = value(i), b = value(i + 1), c = value(i + 2), d = value(i + 3);
    seen |= a | b | c | d;
    unsigned bits = a << 18 | b << 12 | c << 6 | d;
    *to++ = static_cast<char>(bits >> 16);
    *to++ = static_cast<char>(bits >> 8);
    *to++ = static_cast<char>(bits);
  }
  if (rest != 0) {
    unsigned a = value(i), b = value(i + 1), c = rest == 3 ? value(i + 2) : 0;
    seen |= a | b | c;
    unsigned bits = a << 18 | b << 12 | c << 6;
    *to++ = static_cast<char>(bits >> 16);
    if (rest == 3) *to = static_cast<char>(bits >> 8);
    if ((rest == 3 ? c & 3 : b & 15) != 0) return std::nullopt;  // bits that stand for nothing
  }
  if (seen > 63) return std::nullopt;
  return out;
}

}  // namespace

void append_base64(std::string& out, std::string_view bytes) { append_encoded(out, bytes, standard_alphabet, true); }

std::string base64_encode(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.ends_with("==")) {
    text.remove_suffix(2);
  } else if (text.ends_with('=')) {
    text.remove_suffix(1);
  }
  return decode(text, standard_values);
}

void append_base64url(std::string& out, std::string_view bytes) { append_encoded(out, bytes, url_alphabet, false); }

std::string base64url_encode(std::string_view bytes) {
  std::string out;
  append_base64url(out, bytes);
  return out;
}

std::optional<std::string> base64url_decode(std::string_view text) { return decode(text, url_values); }

}  // namespace gantry
