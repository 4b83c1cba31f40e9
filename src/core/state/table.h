// One kind of record in memory. Each row knows the commit that last changed it, so that an answer can wait for exactly
// what it has read (design 3.2).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include <boost/unordered/unordered_flat_map.hpp>

namespace gantry::state {

template <class Record>
struct Row {
  Record record;
  std::uint64_t version = 0;  // commit sequence of the last change; 0 as loaded from the store
};

template <class Record>
class Table {
 public:
  using Id = typename Record::Id;

  const Row<Record>* find(const Id& id) const {
    auto found = rows_.find(id);
    return found == rows_.end() ? nullptr : found->second.get();
  }
  std::size_t size() const { return rows_.size(); }
  /// The newest commit that changed any row: what a miss has read.
  std::uint64_t newest_version() const { return newest_version_; }

  /// In no particular order, but the same order for the same history.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [id, row] : rows_) visit(row->record);
  }

 private:
  friend class State;
  friend class Transaction;

  /// Puts or, without a row, removes.
  void set(const Id& id, std::optional<Row<Record>> row) {
    if (!row) {
      rows_.erase(id);
      return;
    }
    auto& place = rows_[id];
    if (place) {
      *place = std::move(*row);
    } else {
      place = std::make_unique<Row<Record>>(std::move(*row));
    }
  }
  Row<Record>* mutable_row(const Id& id) {
    auto found = rows_.find(id);
    return found == rows_.end() ? nullptr : found->second.get();
  }
  void note_version(std::uint64_t version) { newest_version_ = std::max(newest_version_, version); }

  boost::unordered_flat_map<Id, std::unique_ptr<Row<Record>>> rows_;
  std::deque<Id> arrivals_;  // of cold records, oldest first; an id may be there twice, or of one that is gone
  std::uint64_t newest_version_ = 0;
};

}  // namespace gantry::state
