// The index without its API: completed tasks get in, expired entries get out.
#include <set>

#include "base/log.h"
#include "core/index/intent.h"
#include "server/api/index_service.h"

namespace gantry::server {
namespace {

using state::IndexedTask;
using state::IndexNamespace;
using state::TableId;

constexpr std::size_t intents_at_once = 20;
constexpr std::size_t sweep_rows = 500;
constexpr Duration retry_delay = seconds(1);

template <class Record>
Async<bool> sweep(Services& services, SweepCursor& cursor, bool (*expire)(state::Transaction&, const std::string&)) {
  auto rows = co_await services.cold.scan(Record::table_id, cursor.after, sweep_rows);
  Time now = services.env.now();
  for (const auto& row : rows) {
    if (value_or_throw(state::decode<Record>(row.key, row.value)).expires > now) continue;
    std::string path = state::index_path_of(row.key.name);
    co_await services.cold.ensure<Record>(path);
    auto tx = services.commits.begin();
    expire(tx, path);
    co_await services.commits.settled(services.commits.stage(tx));
  }
  bool end = rows.size() < sweep_rows;
  cursor.after = end ? std::nullopt : std::optional(rows.back().key);
  co_return end;
}

}  // namespace

Async<> load_for_insert(Services& services, std::string path) {
  const state::State& state = services.commits.state();
  std::vector<std::string> spaces = index::namespaces_of(path);
  std::set<std::string> absent;  // a path has a dot more than its namespaces: one set for both kinds
  for (bool waited = true; waited;) {
    waited = false;
    if (!state.table<IndexedTask>().find(path) && !absent.contains(path)) {
      co_await services.cold.ensure<IndexedTask>(path);
      waited = true;
      if (!state.table<IndexedTask>().find(path)) absent.insert(path);
    }
    for (const std::string& space : spaces) {
      if (state.table<IndexNamespace>().find(space) || absent.contains(space)) continue;
      co_await services.cold.ensure<IndexNamespace>(space);
      waited = true;
      if (!state.table<IndexNamespace>().find(space)) absent.insert(space);
    }
  }
}

void Indexer::on_change(const state::Change& change) {
  if (!index::asks_for_index(services_.commits.state(), change)) return;
  wake();
}

void Indexer::wake() {
  has_news_ = true;
  news_.notify_all();
}

Async<> Indexer::run() {
  for (;;) {
    while (!has_news_) co_await news_.wait();
    std::exception_ptr failure;
    try {
      if (services_.leading) {
        has_news_ = false;
        while (co_await step()) {
        }
      } else {
        co_await services_.env.sleep(retry_delay);
      }
    } catch (...) {
      failure = std::current_exception();
    }
    if (is_cancelled(failure)) co_return;
    if (failure) {
      has_news_ = true;
      log_warning("completed tasks wait to be indexed: {}", error_of(failure).message());
      co_await services_.env.sleep(retry_delay);
    }
  }
}

Async<bool> Indexer::step() {
  auto rows = co_await services_.cold.scan(TableId::index_intent, std::nullopt, intents_at_once);
  for (const auto& row : rows) {
    auto task = index::decode_intent(row.value);
    if (!task) {
      log_error("row {} of index_intent: {}", row.key.sequence, task.error().message());
      auto tx = services_.commits.begin();
      index::erase_intent(tx, row.key.sequence);
      co_await services_.commits.settled(services_.commits.stage(tx));
      continue;
    }
    co_await handle(row.key.sequence, task.value());
  }
  co_return !rows.empty();
}

Async<> Indexer::handle(std::uint64_t sequence, TaskId task) {
  co_await services_.cold.ensure_task(task);
  const auto* row = services_.commits.state().table<state::Task>().find(task);
  std::vector<index::Entry> entries;
  std::string why_none = "it is gone";
  if (row && row->record.sequence == sequence) {
    why_none.clear();
    state::Value definition = co_await services_.cold.definition(sequence);
    entries = index::entries_of(task, *definition, why_none);
  }
  if (entries.empty()) log_warning("task {} is not indexed: {}", task.to_string(), why_none);
  co_await insert_all(sequence, std::move(entries));
}

Async<> Indexer::insert_all(std::uint64_t sequence, std::vector<index::Entry> entries) {
  std::size_t next = 0;
  for (bool done = false; !done;) {
    if (next < entries.size()) co_await load_for_insert(services_, entries[next].path);
    auto tx = services_.commits.begin();
    if (next < entries.size()) index::insert(tx, entries[next++]);
    done = next >= entries.size();
    if (done) index::erase_intent(tx, sequence);
    co_await services_.commits.settled(services_.commits.stage(tx));
  }
}

Async<bool> sweep_index(Services& services, SweepCursor& tasks, SweepCursor& namespaces) {
  bool all_tasks = co_await sweep<IndexedTask>(services, tasks, index::expire_task);
  bool all_namespaces = co_await sweep<IndexNamespace>(services, namespaces, index::expire_namespace);
  co_return all_tasks&& all_namespaces;
}

}  // namespace gantry::server
