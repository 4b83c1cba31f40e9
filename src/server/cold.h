// Records that are not in memory (design 3.3): resolved tasks, their artifacts, and definitions. Handlers name what
// they need, wait here, and then call core.
//
// io_context thread only.
#pragma once

#include <deque>
#include <map>
#include <memory>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "base/env.h"
#include "core/queue/create.h"
#include "core/state/codec.h"
#include "core/state/state.h"
#include "server/commit.h"
#include "store/store.h"

namespace gantry::server {

inline constexpr std::size_t definition_cache_bytes_max = 2u << 20;

/// Where each stored task is: from the 64-bit fingerprint of its id to its record's sequence. A miss is certain, a hit
/// must be looked up. Sixteen bytes a task.
class KnownTasks {
 public:
  void add(TaskId id, std::uint64_t sequence);
  void remove(TaskId id, std::uint64_t sequence);
  bool may_know(TaskId id) const { return sequences_.contains(id.hash()); }
  /// Of the records that may be this task's: hardly ever more than one.
  std::vector<std::uint64_t> sequences(TaskId id) const;
  std::size_t size() const { return sequences_.size() + others_.size(); }
  void clear();

 private:
  boost::unordered_flat_map<std::uint64_t, std::uint64_t> sequences_;
  std::multimap<std::uint64_t, std::uint64_t> others_;  // with the fingerprint of one in sequences_
};

/// The stored groups' ids as 64-bit fingerprints: a miss is certain, a hit must be looked up.
class KnownGroups {
 public:
  void add(TaskGroupId id) { fingerprints_.insert(id.hash()); }
  void remove(TaskGroupId id) { fingerprints_.erase(id.hash()); }
  bool may_know(TaskGroupId id) const { return fingerprints_.contains(id.hash()); }
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
  ColdRecords(Env& env, state::State& state, CommitLoop& commits) : env_(env), state_(state), commits_(commits) {}
  void attach(std::shared_ptr<store::Store> store) { store_ = std::move(store); }

  /// Afterwards the task is in memory if it exists at all. Throws what the store throws.
  Async<> ensure_task(TaskId id);
  /// Afterwards the task and all of its artifacts are in memory.
  Async<> ensure_artifacts(TaskId id);
  /// Afterwards the record is in memory if it exists at all. Throws what the store throws.
  template <state::ColdRecord Record>
  Async<> ensure(typename Record::Id id);
  /// Afterwards those of the tasks that exist are in memory.
  Async<> ensure_tasks(std::vector<TaskId> ids);
  /// Afterwards the group's record and the task whose id it has are in memory, both at once, if they exist at all.
  Async<> ensure_group(TaskGroupId id);
  /// Afterwards the task `id` and what a definition with this group names are in memory, all at once, as ensure_group()
  /// does; of those of `dependencies` that are not in memory but exist, what create() needs to know is returned.
  Async<std::vector<queue::DependencyFacts>> ensure_for_create(TaskId id, TaskGroupId group,
                                                               std::vector<TaskId> dependencies);
  /// Up to `limit` stored rows after `after` (null: from the first), as of now: waits until all decisions so far are
  /// durable. Throws what the store throws.
  Async<std::vector<store::Entry>> scan(state::TableId table, std::optional<state::Key> after, std::size_t limit);
  /// The definition that was stored under this sequence. Throws Error(corrupt) if it is missing.
  Async<state::Value> definition(std::uint64_t sequence);

  /// How often somebody had to wait for a record so far: while it stays the same, nothing is forgotten.
  std::uint64_t loads() const { return loads_; }

  KnownTasks& known() { return known_; }
  /// The stored groups: all of them, and some that are gone.
  KnownGroups& known_groups() { return known_groups_; }
  DefinitionCache& definitions() { return definitions_; }

 private:
  struct Loaded {
    std::optional<state::Task> task;
    std::vector<state::Artifact> artifacts;
  };
  /// Of a resolved task the record alone.
  static Loaded read_task(store::Store& store, TaskId id, const std::vector<std::uint64_t>& sequences);
  /// Artifacts, too. `sequences` of the task that is in memory, or with_task.
  static Loaded read(store::Store& store, TaskId id, bool with_task, const std::vector<std::uint64_t>& sequences);
  /// Of those that are stored.
  Async<std::vector<queue::DependencyFacts>> facts_of(std::vector<TaskId> ids);
  /// Those that must be looked up.
  std::vector<TaskId> not_in_memory(std::vector<TaskId> ids) const;
  /// False if there is no such task. If somebody else is loading it, waits for that and says true: look again.
  Async<bool> load(TaskId id);

  Env& env_;
  state::State& state_;
  CommitLoop& commits_;
  std::shared_ptr<store::Store> store_;
  KnownTasks known_;
  KnownGroups known_groups_;
  std::uint64_t loads_ = 0;  // that somebody had to wait for
  DefinitionCache definitions_;
  boost::unordered_flat_map<TaskId, std::shared_ptr<Event>> loading_;  // one load of a task at a time
  std::map<std::pair<state::TableId, state::Key>, std::shared_ptr<Event>> loading_rows_;
};

template <state::ColdRecord Record>
Async<> ColdRecords::ensure(typename Record::Id id) {
  const std::pair<state::TableId, state::Key> place{Record::table_id, Record::store_key(id)};
  for (;;) {
    if (state_.table<Record>().find(id)) co_return;
    auto other = loading_rows_.find(place);
    if (other == loading_rows_.end()) break;
    auto done = other->second;
    ++loads_;
    co_await done->wait();
  }
  ++loads_;
  auto done = std::make_shared<Event>();
  loading_rows_.emplace(place, done);
  std::exception_ptr failure;
  try {
    // What was erased a moment ago must not come back.
    co_await commits_.settled(state_.table<Record>().newest_version());
    auto read = [store = store_, key = place.second] { return store->read(Record::table_id, key); };
    state::Value value = co_await env_.blocking(read);
    if (value) state_.load(value_or_throw(state::decode<Record>(place.second, *value)));
  } catch (...) {
    failure = std::current_exception();
  }
  loading_rows_.erase(place);
  done->notify_all();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace gantry::server
