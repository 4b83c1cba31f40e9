// One decision in the making: reads and changes the state at once, remembers what was there before, and ends as a list
// of writes for the store (design 3.2, 3.5).
//
// Bound: operations_max records and bytes_max bytes. A step of larger work asks has_room() before each unit, so a
// transaction exceeds bytes_max by one unit at most; the largest, a task with 50 runs and what their agents said of
// each, has less than 512 KB. A new task has one definition (half a megabyte at most, if it depends on 10,000 tasks).
//
// Use: make one, call a core function, then either take() it and hand the writes to the store, or let it go out of
// scope, which undoes everything.
#pragma once

#include <algorithm>
#include <variant>
#include <vector>

#include "core/state/change.h"
#include "core/state/record_list.h"
#include "core/state/state.h"
#include "core/state/write.h"

namespace gantry::state {

inline constexpr std::size_t operations_max = 100;
inline constexpr std::size_t bytes_max = 512 * 1024;
inline constexpr std::size_t operations_usual = 2;

using UndoLog = std::vector<AllRecords::Images>;

/// A finished decision: staged in the state, not durable yet.
struct Staged {
  std::uint64_t sequence = 0;      // of this commit; 0 if nothing was changed
  std::uint64_t read_version = 0;  // the newest commit that the decision has read (its own included)
  std::vector<Write> writes;
  std::vector<Change> changes;
  UndoLog undo;
};

class Transaction {
 public:
  /// `now` is taken as at least the state's last time.
  Transaction(State& state, Time now);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  Time now() const { return now_; }
  const State& state() const { return state_; }

  /// The record, or nullptr. Valid until the record is next changed.
  template <class Record>
  const Record* find(const typename Record::Id& id) {
    const Row<Record>* row = state_.table<Record>().find(id);
    read_version_ = std::max(read_version_, row ? row->version : state_.table<Record>().newest_version());
    return row ? &row->record : nullptr;
  }

  template <class Record>
  void insert(Record record) {
    typename Record::Id id = record.key();
    GANTRY_ASSERT(!state_.table<Record>().find(id));
    if (!remembered<Record>(id)) remember(BeforeImage<Record>{id, std::nullopt});
    state_.mutable_table<Record>().note_version(commit_);
    state_.set<Record>(id, Row<Record>{std::move(record), commit_});
  }

  /// `mutate(Record&)` changes everything but the id.
  template <class Record, class Mutate>
  void update(const typename Record::Id& id, Mutate mutate) {
    Row<Record> before = state_.modify<Record>(id, commit_, mutate);
    if (!remembered<Record>(id)) remember(BeforeImage<Record>{id, std::move(before)});
  }

  template <class Record>
  void erase(const typename Record::Id& id) {
    const Row<Record>* row = state_.table<Record>().find(id);
    if (!row) return;
    if (!remembered<Record>(id)) remember(BeforeImage<Record>{id, *row});
    state_.mutable_table<Record>().note_version(commit_);
    state_.set<Record>(id, std::nullopt);
  }

  /// A fresh key for a new task; never given twice.
  std::uint64_t next_sequence() { return ++state_.last_sequence_; }
  /// Numbers for `count` more events; returns the first. Not given again, even if this is undone.
  std::uint64_t next_events(std::uint64_t count) {
    state_.last_event_ += count;
    return state_.last_event_ - count + 1;
  }
  /// Stores a task's definition under its sequence.
  void put_definition(std::uint64_t sequence, Value definition);
  /// Writes, or without a value erases, a row that the state does not hold in memory.
  void put_row(TableId table, Key key, Value value);
  /// Erases everything in a by_sequence table up to and including `sequence`.
  void erase_rows_through(TableId table, std::uint64_t sequence);
  /// What a worker does, between two writes of its record; lasts whatever becomes of this transaction.
  WorkerActivity& activity(const Worker::Id& worker) { return state_.activity_[worker]; }
  void forget_activity(const Worker::Id& worker) { state_.activity_.erase(worker); }
  const std::vector<Change>& changes() const { return changes_; }
  void add_change(Change change) { changes_.push_back(std::move(change)); }

  /// Whether this many more records, of so many bytes together if that is known, fit; into an empty transaction any
  /// number of bytes does. A record is measured the first time that this is asked after it was first changed.
  bool has_room(std::size_t operations, std::size_t bytes = 0);

  /// Ends the transaction: what was changed stays. If nothing was, `writes` is empty and no commit is used up.
  Staged take();

  /// Ends the transaction and undoes it. Returns the newest commit that the decision has read.
  std::uint64_t abandon();

  /// Puts back what was there before; logs of several transactions are undone newest first.
  static void undo(State& state, UndoLog log);

 private:
  void add_writes_since(std::size_t first, std::vector<Write>& writes) const;

  template <class Record>
  bool remembered(const typename Record::Id& id) const {
    for (const auto& entry : undo_) {
      const auto* image = std::get_if<BeforeImage<Record>>(&entry);
      if (image && image->id == id) return true;
    }
    return false;
  }

  template <class Record>
  void remember(BeforeImage<Record> image) {
    if (undo_.empty()) undo_.reserve(operations_usual);
    undo_.push_back(std::move(image));
    GANTRY_ASSERT(undo_.size() <= operations_max);
  }

  State& state_;
  Time now_;
  std::uint64_t commit_;
  std::uint64_t read_version_ = 0;
  UndoLog undo_;
  std::vector<Write> rows_;  // beside those of the records
  std::vector<Change> changes_;
  std::size_t bytes_ = 0;  // of rows_ and of the first `measured_` records of undo_
  std::size_t measured_ = 0;
  bool taken_ = false;
};

}  // namespace gantry::state
