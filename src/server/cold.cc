#include "server/cold.h"

#include <algorithm>

#include "base/planted.h"

namespace gantry::server {

using state::TableId;

namespace {
constexpr int loads_max = 20;        // of one record for one request
constexpr int stable_tries_max = 5;  // to have several records in memory without a wait in between

/// A record that is forgotten again each time before it is our turn: better no answer than a wrong one.
Error forgotten_each_time() {
  return Error(ErrorCode::unavailable, "the server could not keep all the records in memory that this needs",
               "try again");
}
}  // namespace

void KnownTasks::add(TaskId id, std::uint64_t sequence) {
  auto [entry, added] = sequences_.emplace(id.hash(), sequence);
  if (added || entry->second == sequence) return;
  auto [begin, end] = others_.equal_range(id.hash());
  bool known = std::any_of(begin, end, [&](const auto& other) { return other.second == sequence; });
  if (!known) others_.emplace(id.hash(), sequence);
}

void KnownTasks::remove(TaskId id, std::uint64_t sequence) {
  auto entry = sequences_.find(id.hash());
  if (entry == sequences_.end()) return;
  auto [begin, end] = others_.equal_range(id.hash());
  if (entry->second != sequence) {
    auto other = std::find_if(begin, end, [&](const auto& any) { return any.second == sequence; });
    if (other != end) others_.erase(other);
  } else if (begin != end) {
    entry->second = begin->second;
    others_.erase(begin);
  } else {
    sequences_.erase(entry);
  }
}

std::vector<std::uint64_t> KnownTasks::sequences(TaskId id) const {
  std::vector<std::uint64_t> found;
  if (auto entry = sequences_.find(id.hash()); entry != sequences_.end()) found.push_back(entry->second);
  auto [begin, end] = others_.equal_range(id.hash());
  for (auto other = begin; other != end; ++other) found.push_back(other->second);
  return found;
}

void KnownTasks::clear() {
  sequences_.clear();
  others_.clear();
}

void DefinitionCache::put(std::uint64_t sequence, state::Value definition, std::uint64_t version) {
  std::size_t bytes = definition->size();
  if (!entries_.emplace(sequence, Entry{std::move(definition), version}).second) return;
  order_.push_back(sequence);
  bytes_ += bytes;
}

state::Value DefinitionCache::find(std::uint64_t sequence) const {
  auto found = entries_.find(sequence);
  return found == entries_.end() ? nullptr : found->second.definition;
}

void DefinitionCache::trim(std::uint64_t durable) {
  while (bytes_ > definition_cache_bytes_max && !order_.empty()) {
    auto entry = entries_.find(order_.front());
    if (entry->second.version > durable) return;
    bytes_ -= entry->second.definition->size();
    entries_.erase(entry);
    order_.pop_front();
  }
}

void DefinitionCache::clear() {
  entries_.clear();
  order_.clear();
  bytes_ = 0;
}

Async<> ColdRecords::ensure_task(TaskId id) {
  if (state_.table<state::Task>().find(id) || !known_.may_know(id)) co_return;
  if (planted(PlantedBug::cold_task_forgotten)) co_return;
  // It may be forgotten again between its load and our turn, if somebody else had it loaded.
  for (int tries = 0; tries < loads_max && !state_.table<state::Task>().find(id); ++tries) {
    bool exists = co_await load(id);
    if (!exists) co_return;
  }
  if (!state_.table<state::Task>().find(id)) throw forgotten_each_time();
}

Async<> ColdRecords::ensure_artifacts(TaskId id) {
  for (int tries = 0; tries < loads_max; ++tries) {
    co_await ensure_task(id);
    if (!state_.table<state::Task>().find(id) || state_.artifacts_loaded(id)) co_return;
    co_await load(id);
  }
  throw forgotten_each_time();
}

Async<> ColdRecords::ensure_tasks(std::vector<TaskId> ids) {
  for (TaskId id : not_in_memory(std::move(ids))) co_await ensure_task(id);
}

Async<std::vector<store::Entry>> ColdRecords::scan(TableId table, std::optional<state::Key> after, std::size_t limit) {
  co_await commits_.settled(state_.last_commit());
  auto read = [store = store_, table, after = std::move(after), limit] {
    return store->scan(table, after ? &*after : nullptr, limit);
  };
  co_return co_await env_.blocking(read);
}

Async<state::Value> ColdRecords::definition(std::uint64_t sequence) {
  if (state::Value cached = definitions_.find(sequence)) co_return cached;
  auto read = [store = store_, sequence] { return store->read(TableId::definition, {sequence, {}}); };
  state::Value value = co_await env_.blocking(read);
  if (!value) {
    throw Error(ErrorCode::corrupt, "a task's definition is missing from the store", "restore it from a backup");
  }
  co_return value;
}

Async<std::vector<queue::DependencyFacts>> ColdRecords::facts_of(std::vector<TaskId> ids) {
  if (ids.empty()) co_return std::vector<queue::DependencyFacts>();
  std::vector<std::pair<TaskId, std::vector<std::uint64_t>>> places;
  for (TaskId id : ids) places.emplace_back(id, known_.sequences(id));
  auto read_them = [store = store_, places = std::move(places)] {
    std::vector<queue::DependencyFacts> facts;
    for (const auto& [id, sequences] : places) {
      Loaded loaded = read_task(*store, id, sequences);
      if (loaded.task) facts.push_back({id, loaded.task->sequence, loaded.task->state(), loaded.task->expires});
    }
    return facts;
  };
  co_return co_await env_.blocking(read_them);
}

Async<> ColdRecords::ensure_group(TaskGroupId id) {
  for (int tries = 0; tries < stable_tries_max; ++tries) {
    std::uint64_t loads = loads_;
    if (known_groups_.may_know(id)) co_await ensure<state::Group>(id);
    co_await ensure_task(id);
    if (loads_ == loads) co_return;  // nobody waited in between: nothing was forgotten again
  }
}

std::vector<TaskId> ColdRecords::not_in_memory(std::vector<TaskId> ids) const {
  std::erase_if(ids, [this](TaskId id) { return state_.table<state::Task>().find(id) || !known_.may_know(id); });
  return ids;
}

Async<std::vector<queue::DependencyFacts>> ColdRecords::ensure_for_create(TaskId id, TaskGroupId group,
                                                                          std::vector<TaskId> dependencies) {
  for (int tries = 0; tries < loads_max; ++tries) {
    std::vector<TaskId> asked = not_in_memory(dependencies);
    std::vector<queue::DependencyFacts> facts = co_await facts_of(asked);
    std::uint64_t loads = loads_;
    co_await ensure_group(group);
    co_await ensure_task(id);
    // An id that is known and not there is looked up again each time.
    bool settled = loads_ == loads || tries + 1 >= stable_tries_max;
    if (!settled) continue;
    // One that was in memory may have been forgotten since it was not asked for. Both are in the definition's order.
    auto at = asked.begin();
    bool covered = true;
    for (TaskId each : not_in_memory(dependencies)) {
      at = std::find(at, asked.end(), each);
      covered = covered && at != asked.end();
    }
    if (covered) co_return facts;
  }
  throw forgotten_each_time();
}

Async<bool> ColdRecords::load(TaskId id) {
  ++loads_;
  if (auto other = loading_.find(id); other != loading_.end()) {
    auto done = other->second;
    co_await done->wait();
    co_return true;
  }
  auto done = std::make_shared<Event>();
  loading_.emplace(id, done);
  std::exception_ptr failure;
  bool exists = false;
  try {
    const auto* row = state_.table<state::Task>().find(id);
    bool with_task = row == nullptr;
    std::vector<std::uint64_t> sequences = row ? std::vector{row->record.sequence} : known_.sequences(id);
    auto read_it = [store = store_, id, with_task, sequences = std::move(sequences)] {
      return read(*store, id, with_task, sequences);
    };
    Loaded loaded = co_await env_.blocking(read_it);
    exists = loaded.task || !with_task;
    if (loaded.task) state_.load(std::move(*loaded.task));
    if (state_.table<state::Task>().find(id)) {
      for (state::Artifact& artifact : loaded.artifacts) state_.load(std::move(artifact));
      state_.mark_artifacts_loaded(id);
    }
  } catch (...) {
    failure = std::current_exception();
  }
  loading_.erase(id);
  done->notify_all();
  if (failure) std::rethrow_exception(failure);
  co_return exists;
}

ColdRecords::Loaded ColdRecords::read_task(store::Store& store, TaskId id,
                                           const std::vector<std::uint64_t>& sequences) {
  Loaded loaded;
  for (std::uint64_t sequence : sequences) {
    state::Value record = store.read(TableId::resolved_task, {sequence, {}});
    if (!record) continue;
    auto task = value_or_throw(state::decode_task(sequence, *record));
    if (task.id == id) loaded.task = std::move(task);
  }
  return loaded;
}

ColdRecords::Loaded ColdRecords::read(store::Store& store, TaskId id, bool with_task,
                                      const std::vector<std::uint64_t>& sequences) {
  Loaded loaded;
  if (with_task) {
    loaded = read_task(store, id, sequences);
    if (!loaded.task) return loaded;
  }
  std::uint64_t sequence = with_task ? loaded.task->sequence : sequences.front();
  state::Key after{sequence, {}};
  for (;;) {
    auto entries = store.scan(TableId::artifact, &after, 256);
    for (auto& entry : entries) {
      if (entry.key.sequence != sequence) return loaded;
      loaded.artifacts.push_back(value_or_throw(state::decode_artifact(sequence, entry.value)));
    }
    if (entries.size() < 256) return loaded;
    after = entries.back().key;
  }
}

}  // namespace gantry::server
