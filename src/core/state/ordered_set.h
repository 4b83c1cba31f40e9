// A set in order, for indexes of many small keys: sorted pieces of bounded size, so that a change touches a few cache
// lines and no allocation, where a tree of nodes misses the cache at every level.
//
// Invariants: no piece is empty; every key of piece i is at least lows_[i] and less than lows_[i + 1]. Any change
// invalidates iterators.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace gantry::state {

template <class Key>
class OrderedSet {
 public:
  class Iterator {
   public:
    using value_type = Key;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;
    const Key& operator*() const { return set_->pieces_[piece_][at_]; }
    const Key* operator->() const { return &**this; }
    Iterator& operator++() {
      if (++at_ == set_->pieces_[piece_].size()) {
        ++piece_;
        at_ = 0;
      }
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    friend class OrderedSet;
    Iterator(const OrderedSet* set, std::size_t piece, std::size_t at) : set_(set), piece_(piece), at_(at) {}
    const OrderedSet* set_ = nullptr;
    std::size_t piece_ = 0;
    std::size_t at_ = 0;
  };

  Iterator begin() const { return {this, 0, 0}; }
  Iterator end() const { return {this, pieces_.size(), 0}; }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  /// The greatest key; there must be one.
  const Key& back() const { return pieces_.back().back(); }
  bool contains(const Key& key) const {
    if (empty()) return false;
    const Piece& piece = pieces_[piece_of(key)];
    return std::binary_search(piece.begin(), piece.end(), key);
  }

  /// The first key that is greater.
  Iterator after(const Key& key) const {
    if (empty()) return end();
    std::size_t piece = piece_of(key);
    auto at = std::upper_bound(pieces_[piece].begin(), pieces_[piece].end(), key) - pieces_[piece].begin();
    if (static_cast<std::size_t>(at) == pieces_[piece].size()) return {this, piece + 1, 0};
    return {this, piece, static_cast<std::size_t>(at)};
  }
  /// How many keys are less. Visits every piece before it.
  std::size_t rank(const Key& key) const {
    if (empty()) return 0;
    std::size_t piece = piece_of(key);
    std::size_t before = 0;
    for (std::size_t i = 0; i < piece; ++i) before += pieces_[i].size();
    return before + static_cast<std::size_t>(std::lower_bound(pieces_[piece].begin(), pieces_[piece].end(), key) -
                                             pieces_[piece].begin());
  }

  /// True if it was not there.
  bool insert(const Key& key) {
    if (empty()) add_piece(0, key);
    std::size_t at = piece_of(key);
    auto place = std::lower_bound(pieces_[at].begin(), pieces_[at].end(), key);
    if (place != pieces_[at].end() && *place == key) return false;
    if (pieces_[at].size() == piece_size_max) {
      if (place == pieces_[at].end()) {  // growing at the end, as by age, must not leave half-empty pieces behind
        add_piece(at + 1, key);
        pieces_[at + 1].push_back(key);
        ++size_;
        return true;
      }
      split(at);
      at = piece_of(key);
      place = std::lower_bound(pieces_[at].begin(), pieces_[at].end(), key);
    }
    pieces_[at].insert(place, key);
    lows_[at] = std::min(lows_[at], key);
    ++size_;
    return true;
  }

  /// True if it was there.
  bool erase(const Key& key) {
    if (empty()) return false;
    std::size_t at = piece_of(key);
    auto place = std::lower_bound(pieces_[at].begin(), pieces_[at].end(), key);
    if (place == pieces_[at].end() || *place != key) return false;
    pieces_[at].erase(place);
    --size_;
    if (pieces_[at].empty()) {
      remove_piece(at);
    } else if (pieces_[at].size() < piece_size_max / 4 && at + 1 < pieces_.size() &&
               pieces_[at].size() + pieces_[at + 1].size() <= piece_size_max / 2) {
      pieces_[at].insert(pieces_[at].end(), pieces_[at + 1].begin(), pieces_[at + 1].end());
      remove_piece(at + 1);
    }
    return true;
  }

  friend bool operator==(const OrderedSet& a, const OrderedSet& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  static constexpr std::size_t piece_size_max = 128;
  using Piece = std::vector<Key>;

  /// Where `key` is or belongs; there must be a piece.
  std::size_t piece_of(const Key& key) const {
    auto after = std::upper_bound(lows_.begin(), lows_.end(), key);
    return after == lows_.begin() ? 0 : static_cast<std::size_t>(after - lows_.begin()) - 1;
  }

  void add_piece(std::size_t at, const Key& low) {
    auto offset = static_cast<std::ptrdiff_t>(at);
    pieces_.emplace(pieces_.begin() + offset)->reserve(piece_size_max);
    lows_.insert(lows_.begin() + offset, low);
  }

  void remove_piece(std::size_t at) {
    auto offset = static_cast<std::ptrdiff_t>(at);
    pieces_.erase(pieces_.begin() + offset);
    lows_.erase(lows_.begin() + offset);
  }

  void split(std::size_t at) {
    Key middle = pieces_[at][piece_size_max / 2];
    add_piece(at + 1, middle);
    Piece& low = pieces_[at];
    auto half = low.begin() + static_cast<std::ptrdiff_t>(piece_size_max / 2);
    pieces_[at + 1].assign(half, low.end());
    low.erase(half, low.end());
  }

  std::vector<Piece> pieces_;
  std::vector<Key> lows_;
  std::size_t size_ = 0;
};

}  // namespace gantry::state
