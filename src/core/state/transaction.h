// One decision in the making: reads and changes the state at once, remembers what was there before, and ends as a list
// of writes for the store (design 3.2, 3.5). Bound: operations_max records.
//
// Use: make one, call a core function, then either take() it and hand the writes to the store, or let it go out of
// scope, which undoes everything.
#pragma once

#include <algorithm>
#include <variant>
#include <vector>

#include "core/state/change.h"
#include "core/state/state.h"
#include "core/state/write.h"

namespace gantry::state {

inline constexpr std::size_t operations_max = 100;
inline constexpr std::size_t operations_usual = 2;

template <class Record>
struct BeforeImage {
  typename Record::Id id;
  std::optional<Row<Record>> row;  // none: it was not there
};

using UndoLog =
    std::vector<std::variant<BeforeImage<Task>, BeforeImage<Artifact>, BeforeImage<Allocation>, BeforeImage<Node>>>;

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
  /// Stores a task's definition under its sequence.
  void put_definition(std::uint64_t sequence, Value definition);
  void add_change(Change change) { changes_.push_back(std::move(change)); }

  /// Whether this many more records fit; a step of larger work asks before each unit.
  bool has_room(std::size_t operations) const { return undo_.size() + operations <= operations_max; }

  /// Ends the transaction: what was changed stays. If nothing was, `writes` is empty and no commit is used up.
  Staged take();

  /// Ends the transaction and undoes it. Returns the newest commit that the decision has read.
  std::uint64_t abandon();

  /// Puts back what was there before; logs of several transactions are undone newest first.
  static void undo(State& state, UndoLog log);

 private:
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
  std::vector<Write> definitions_;
  std::vector<Change> changes_;
  bool taken_ = false;
};

}  // namespace gantry::state
