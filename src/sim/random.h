// Numbers from a seed: xoshiro256**, seeded by splitmix64. The same seed gives the same numbers on every machine.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace gantry::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : words_) word = splitmix(seed);
  }
  /// An independent generator for one part of the simulation, so that parts do not shift each other's numbers.
  Random(std::uint64_t seed, std::string_view part) : Random(mix(seed, part)) {}

  std::uint64_t next() {
    std::uint64_t result = std::rotl(words_[1] * 5, 7) * 9;
    std::uint64_t shifted = words_[1] << 17;
    words_[2] ^= words_[0];
    words_[3] ^= words_[1];
    words_[1] ^= words_[2];
    words_[0] ^= words_[3];
    words_[2] ^= shifted;
    words_[3] = std::rotl(words_[3], 45);
    return result;
  }
  /// 0 to bound - 1; the bias of the remainder does not matter here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// In [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return unit() < probability; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  Duration between(Duration low, Duration high) { return Duration(between(low.count(), high.count())); }
  /// Every order of magnitude is as likely: for times from seconds to hours.
  Duration spread(Duration low, Duration high) {
    double ratio = static_cast<double>(high.count()) / static_cast<double>(low.count());
    return Duration(static_cast<std::int64_t>(static_cast<double>(low.count()) * std::pow(ratio, unit())));
  }
  /// Waits between events that come at random, so often on average.
  Duration until_next(Duration mean) {
    return Duration(static_cast<std::int64_t>(-std::log(1 - unit()) * static_cast<double>(mean.count())) + 1);
  }

 private:
  static std::uint64_t splitmix(std::uint64_t& state) {
    std::uint64_t z = (state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  static std::uint64_t mix(std::uint64_t seed, std::string_view part) {
    std::uint64_t hash = 0xCBF29CE484222325ull ^ splitmix(seed);
    for (char c : part) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001B3ull;
    return hash;
  }

  std::uint64_t words_[4];
};

}  // namespace gantry::sim
