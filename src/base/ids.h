// Identifiers. A slugid is a version 4 UUID in base64url without padding: 22 characters, always decodable to 16 bytes
// (taskcluster.md 2.8). We hold the 16 bytes; the text appears at the doors.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include <boost/container_hash/hash.hpp>

namespace gantry {

class Env;

/// 16 bytes as 22 characters, and back. decode refuses anything that is not exactly the encoding of a version 4 UUID.
void encode_slug(const std::array<std::uint8_t, 16>& bytes, char* out22);
bool decode_slug(std::string_view text, std::array<std::uint8_t, 16>& bytes);
/// Fresh random slug bytes that start with [A-Za-f] ("nice": usable as a command line argument).
std::array<std::uint8_t, 16> random_slug(Env& env);

template <class Tag>
class SlugId {
 public:
  /// All zero: no id.
  SlugId() = default;

  static std::optional<SlugId> parse(std::string_view text) {
    SlugId id;
    if (!decode_slug(text, id.bytes_)) return std::nullopt;
    return id;
  }
  static SlugId random(Env& env) {
    SlugId id;
    id.bytes_ = random_slug(env);
    return id;
  }
  static SlugId from_bytes(const std::array<std::uint8_t, 16>& bytes) {
    SlugId id;
    id.bytes_ = bytes;
    return id;
  }

  std::string to_string() const {
    std::string text(22, '\0');
    encode_slug(bytes_, text.data());
    return text;
  }
  void append_to(std::string& out) const {
    char text[22];
    encode_slug(bytes_, text);
    out.append(text, 22);
  }
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  bool empty() const { return bytes_ == std::array<std::uint8_t, 16>{}; }
  /// 64 of its 122 random bits.
  std::uint64_t hash() const {
    std::uint64_t halves[2];
    std::memcpy(halves, bytes_.data(), 16);
    return halves[0] ^ (halves[1] * 0x9E3779B97F4A7C15ull);
  }

  friend auto operator<=>(const SlugId&, const SlugId&) = default;
  friend std::size_t hash_value(const SlugId& id) { return id.hash(); }

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

struct TaskTag;
struct NodeTag;
using TaskId = SlugId<TaskTag>;
/// A task group is named by a slugid of the same kind as a task (by default that of its first task).
using TaskGroupId = SlugId<TaskTag>;
using NodeId = SlugId<NodeTag>;

}  // namespace gantry

template <class Tag>
struct std::hash<gantry::SlugId<Tag>> {
  std::size_t operator()(const gantry::SlugId<Tag>& id) const { return id.hash(); }
};
