// A store for the simulator: the durable map in memory, one batch in flight, and faults on demand. Deterministic, and
// all on one thread. The disk outlives its stores, as a machine's does: a restarted server opens a new MemoryStore on
// it.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "store/store.h"

namespace gantry::store {

class MemoryStore : public Store {
 public:
  /// What survives a crash. One store at a time uses it.
  class Disk {
   public:
    /// Rows in all tables.
    std::size_t rows() const;

   private:
    friend class MemoryStore;
    void apply(const Batch& batch);
    std::array<std::map<state::Key, state::Value>, state::table_count> tables_;
    bool in_use_ = false;
  };

  /// Takes a function and calls it later, never inside: when it is called, the write is durable.
  using Schedule = std::function<void(std::move_only_function<void()>)>;

  /// Throws Error(conflict) if another store uses the disk.
  MemoryStore(std::shared_ptr<Disk> disk, Schedule schedule);
  /// As crash(false); what is scheduled does nothing then.
  ~MemoryStore() override;

  void write(Batch batch, std::move_only_function<void(WriteResult)> done) override;
  state::Value read(state::TableId table, const state::Key& key) override;
  std::vector<Entry> scan(state::TableId table, const state::Key* after, std::size_t limit) override;

  /// The process dies: the batch in flight is on the disk as a whole or not at all, and its `done` is never called.
  /// Afterwards the disk is free for a new store; this one ignores writes, and its reads throw Error(unavailable).
  void crash(bool in_flight_survives);
  /// The next write to complete ends so; `survives` says whether an unknown one is on the disk. As with a real disk,
  /// nothing is written after an unknown one until a new store is opened.
  void fail_next(Outcome outcome, bool survives = false);
  /// True while a batch waits for its completion.
  bool in_flight() const { return in_flight_ != nullptr; }

 private:
  struct InFlight {
    Batch batch;
    std::move_only_function<void(WriteResult)> done;
  };
  struct Fault {
    Outcome outcome;
    bool survives;
  };

  void complete();
  WriteResult finish(const Batch& batch);
  const std::map<state::Key, state::Value>& table(state::TableId table) const;

  std::shared_ptr<Disk> disk_;  // null after a crash
  Schedule schedule_;
  std::shared_ptr<InFlight> in_flight_;
  std::optional<Fault> fault_;
  bool stopped_ = false;  // an outcome was unknown
};

}  // namespace gantry::store
