#include "store/sqlite/reader_pool.h"

#include <algorithm>

#include <fmt/format.h>

#include "store/sqlite/limits.h"
#include "store/sqlite/schema.h"

namespace gantry::store::sqlite {
namespace {

const state::TableInfo& info(state::TableId table) { return state::tables[static_cast<std::size_t>(table)]; }

Statement& prepared(std::optional<Statement>& statement, Database& database, const state::TableInfo& table, Verb verb) {
  if (!statement) statement.emplace(database, table_sql(table, verb));
  return *statement;
}

std::string reading(const state::TableInfo& table) { return fmt::format("reading table {}", table.name); }

}  // namespace

Reader::Reader(const std::string& path, const std::string& vfs) : database_(path, Database::Access::read_only, vfs) {
  database_.execute(
      fmt::format("PRAGMA cache_size = -{}; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; "
                  "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF",
                  reader_cache_kib));
}

state::Value Reader::read(state::TableId table, const state::Key& key) {
  const auto& where = info(table);
  auto& statement = prepared(statements_[static_cast<std::size_t>(table)].read, database_, where, Verb::read);
  ResetStatement reset(statement);
  bind_key(statement, where, key);
  if (!statement.step(reading(where))) return nullptr;
  return std::make_shared<const std::string>(statement.text(0));
}

std::vector<Entry> Reader::scan(state::TableId table, const state::Key* after, std::size_t limit) {
  std::vector<Entry> entries;
  while (entries.size() < limit) {
    auto before = entries.size();
    auto step = std::min(limit - before, scan_step_rows);
    const auto last = before > 0 ? entries.back().key : state::Key();
    scan_step(info(table), before > 0 ? &last : after, step, entries);
    if (entries.size() < before + step) break;
  }
  return entries;
}

void Reader::scan_step(const state::TableInfo& table, const state::Key* after, std::size_t limit,
                       std::vector<Entry>& entries) {
  auto& mine = statements_[static_cast<std::size_t>(table.id)];
  auto& statement = after ? prepared(mine.scan_after, database_, table, Verb::scan_after)
                          : prepared(mine.scan_first, database_, table, Verb::scan_first);
  ResetStatement reset(statement);
  if (after) bind_key(statement, table, *after);
  statement.bind(limit_parameter, static_cast<std::int64_t>(limit));
  const auto doing = reading(table);
  while (statement.step(doing)) {
    entries.push_back({{static_cast<std::uint64_t>(statement.integer(0)), std::string(statement.text(1))},
                       std::string(statement.text(2))});
  }
}

std::unique_ptr<Reader> ReaderPool::take() {
  {
    std::unique_lock lock(mutex_);
    if (!returned_.wait_for(lock, reader_wait_max, [this] { return !idle_.empty() || open_ < readers_max; })) {
      throw Error(ErrorCode::unavailable,
                  fmt::format("{}: all {} read connections have been busy for {} s", path_, readers_max,
                              reader_wait_max.count()),
                  "the disk is overloaded; try again later");
    }
    if (!idle_.empty()) {
      auto reader = std::move(idle_.back());
      idle_.pop_back();
      return reader;
    }
    ++open_;
  }
  try {
    return std::make_unique<Reader>(path_, vfs_);
  } catch (...) {
    give_back(nullptr);
    throw;
  }
}

void ReaderPool::give_back(std::unique_ptr<Reader> reader) {
  {
    std::lock_guard lock(mutex_);
    if (reader) {
      idle_.push_back(std::move(reader));
    } else {
      --open_;
    }
  }
  returned_.notify_one();
}

}  // namespace gantry::store::sqlite
