// Records that are not in memory (design 3.3): resolved tasks, their artifacts, and definitions. Handlers name what
// they need, wait here, and then call core.
//
// io_context thread only.
#pragma once

#include <deque>
#include <memory>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "base/env.h"
#include "core/state/state.h"
#include "store/store.h"

namespace gantry::server {

inline constexpr std::size_t definition_cache_bytes_max = 4u << 20;

/// The stored task ids as 64-bit fingerprints: a miss is certain, a hit must be looked up. Eight bytes a task.
class KnownTasks {
 public:
  void add(TaskId id) { fingerprints_.insert(id.hash()); }
  bool may_know(TaskId id) const { return fingerprints_.contains(id.hash()); }
  std::size_t size() const { return fingerprints_.size(); }
  void clear() { fingerprints_.clear(); }

 private:
  boost::unordered_flat_set<std::uint64_t> fingerprints_;
};

/// Definitions by record sequence: those that are not durable yet, and a bounded number of the newest others.
class DefinitionCache {
 public:
  /// `version` is the commit that writes it.
  void put(std::uint64_t sequence, state::Value definition, std::uint64_t version);
  /// nullptr if it is not here.
  state::Value find(std::uint64_t sequence) const;
  /// Drops the oldest beyond the bound, as far as they are durable.
  void trim(std::uint64_t durable);
  void clear();

 private:
  struct Entry {
    state::Value definition;
    std::uint64_t version;
  };
  boost::unordered_flat_map<std::uint64_t, Entry> entries_;
  std::deque<std::uint64_t> order_;
  std::size_t bytes_ = 0;
};

class ColdRecords {
 public:
  ColdRecords(Env& env, state::State& state) : env_(env), state_(state) {}
  void attach(std::shared_ptr<store::Store> store) { store_ = std::move(store); }

  /// Afterwards the task is in memory if it exists at all. Throws what the store throws.
  Async<> ensure_task(TaskId id);
  /// Afterwards the task and all of its artifacts are in memory.
  Async<> ensure_artifacts(TaskId id);
  /// The definition that was stored under this sequence. Throws Error(corrupt) if it is missing.
  Async<state::Value> definition(std::uint64_t sequence);

  KnownTasks& known() { return known_; }
  DefinitionCache& definitions() { return definitions_; }

 private:
  struct Loaded {
    std::optional<state::Task> task;
    std::vector<state::Artifact> artifacts;
  };
  static Loaded read(store::Store& store, TaskId id, bool with_task, std::uint64_t sequence);
  /// False if there is no such task. If somebody else is loading it, waits for that and says true: look again.
  Async<bool> load(TaskId id);

  Env& env_;
  state::State& state_;
  std::shared_ptr<store::Store> store_;
  KnownTasks known_;
  DefinitionCache definitions_;
  boost::unordered_flat_map<TaskId, std::shared_ptr<Event>> loading_;  // one load of a task at a time
};

}  // namespace gantry::server
