// What happened in a simulation, as one number: two runs of a seed must have the same. Printed as well, if wanted.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

namespace gantry::sim {

class Trace {
 public:
  explicit Trace(bool print) : print_(print) {}

  /// One event: its time, a word for its kind, and what tells it apart.
  void event(std::int64_t now_us, std::string_view kind, std::string_view subject, std::uint64_t number = 0) {
    mix(static_cast<std::uint64_t>(now_us));
    mix(kind);
    mix(subject);
    mix(number);
    if (print_) {
      fmt::print("{:>14.6f} {:<12} {} {}\n", static_cast<double>(now_us) / 1e6, kind, subject, number);
    }
  }
  /// Adds to the hash without printing.
  void mix(std::string_view bytes) {
    std::uint64_t word = 0;
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
      std::memcpy(&word, bytes.data(), 8);
      mix(word);
    }
    word = bytes.size();
    for (char c : bytes) word = word << 8 | static_cast<std::uint8_t>(c);
    mix(word);
  }
  void mix(std::uint64_t word) {
    hash_ = (hash_ ^ word) * 0x9E3779B97F4A7C15ull;
    hash_ ^= hash_ >> 29;
  }

  std::uint64_t hash() const { return hash_; }
  bool prints() const { return print_; }

 private:
  bool print_;
  std::uint64_t hash_ = 0xCBF29CE484222325ull;
};

}  // namespace gantry::sim
