// What clients have asked a value to become, and which of that may be seen: a register that is held against answers
// which may be lost, late or doubled.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace gantry::sim {

/// So long after it was sent a request may still take effect: copies of it may be on their way.
inline constexpr std::int64_t late_us_max = 180'000'000;

template <class Value>
class Wishes {
 public:
  explicit Wishes(Value initial = {}) : wishes_{{std::move(initial), 0, 0, 0}} {}

  /// A request for it is about to be sent; returns its number.
  std::size_t ask(Value value, std::int64_t now_us, std::int64_t late_us = late_us_max) {
    wishes_.push_back({std::move(value), now_us, -1, now_us + late_us});
    return wishes_.size() - 1;
  }
  /// It was carried out, and that is durable.
  void done(std::size_t wish, std::int64_t now_us) {
    wishes_[wish].done_us = now_us;
    wishes_[wish].last_us = std::max(wishes_[wish].last_us, now_us);
  }
  /// Whether somebody who began to look at `since_us` may see this.
  bool may_be(const Value& value, std::int64_t since_us) const {
    return std::ranges::any_of(wishes_,
                               [&](const Wish& wish) { return wish.value == value && !is_replaced(wish, since_us); });
  }
  /// Whether it was asked for by anybody.
  bool asked() const { return wishes_.size() > 1; }

 private:
  struct Wish {
    Value value;
    std::int64_t sent_us;
    std::int64_t done_us;  // -1: not known
    std::int64_t last_us;  // when it can have taken effect at the latest
  };

  bool is_replaced(const Wish& wish, std::int64_t since_us) const {
    return std::ranges::any_of(wishes_, [&](const Wish& other) {
      return other.done_us >= 0 && other.done_us <= since_us && other.sent_us > wish.last_us;
    });
  }

  std::vector<Wish> wishes_;
};

}  // namespace gantry::sim
