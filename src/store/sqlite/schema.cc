#include "store/sqlite/schema.h"

#include <limits>

#include <fmt/format.h>

#include "store/sqlite/limits.h"

namespace gantry::store::sqlite {
namespace {

using state::KeyShape;
using state::TableInfo;

std::string create_sql(const TableInfo& table) {
  switch (table.shape) {
    case KeyShape::by_sequence:
      return fmt::format("CREATE TABLE IF NOT EXISTS \"{}\"(sequence INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT",
                         table.name);
    case KeyShape::by_sequence_and_name:
      return fmt::format(
          "CREATE TABLE IF NOT EXISTS \"{}\"(sequence INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, "
          "PRIMARY KEY(sequence, name)) STRICT, WITHOUT ROWID",
          table.name);
    case KeyShape::by_name:
      return fmt::format(
          "CREATE TABLE IF NOT EXISTS \"{}\"(name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) "
          "STRICT, WITHOUT ROWID",
          table.name);
  }
  return {};
}

struct KeySql {
  const char* columns;     // of the key
  const char* parameters;  // for them
  const char* selected;    // both halves of the key, the unused one as a constant
  const char* equal;
  const char* greater;
};

KeySql key_sql(KeyShape shape) {
  switch (shape) {
    case KeyShape::by_sequence: return {"sequence", "?1", "sequence, ''", "sequence = ?1", "sequence > ?1"};
    case KeyShape::by_sequence_and_name:
      return {"sequence, name", "?1, ?2", "sequence, name", "sequence = ?1 AND name = ?2",
              "(sequence, name) > (?1, ?2)"};
    case KeyShape::by_name: return {"name", "?2", "0, name", "name = ?2", "name > ?2"};
  }
  return {};
}

void in_transaction(Database& database, const std::function<void()>& work) {
  database.execute("BEGIN IMMEDIATE");
  try {
    work();
    database.execute("COMMIT");
  } catch (...) {
    if (!sqlite3_get_autocommit(database.handle()))
      sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

/// Format 2: task ids are kept in order of arrival, not of id.
void task_ids_by_sequence(Database& database) {
  database.execute("ALTER TABLE task_id RENAME TO task_id_by_name");
  database.execute("CREATE TABLE task_id(sequence INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT");
  database.execute("INSERT INTO task_id SELECT CAST(value AS INTEGER), name FROM task_id_by_name ORDER BY 1");
  database.execute("DROP TABLE task_id_by_name");
}

}  // namespace

const std::vector<Migration>& migrations() {
  static const std::vector<Migration> steps = {task_ids_by_sequence};
  return steps;
}

bool prepare_schema(Database& database, std::span<const Migration> steps) {
  const auto& path = database.path();
  const auto format = static_cast<std::int64_t>(steps.size()) + 1;
  auto id = database.query_integer("PRAGMA application_id");
  auto version = database.query_integer("PRAGMA user_version");
  bool fresh = id == 0 && version == 0 && database.query_integer("SELECT count(*) FROM sqlite_schema") == 0;
  if (!fresh && id != application_id) {
    throw Error(ErrorCode::invalid_input, fmt::format("{} is an SQLite file of another program", path),
                "give the path of a gantry file, or one that does not exist yet");
  }
  if (version > format) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{} was written by a newer gantry (format {}, this build knows {})", path, version, format),
                "upgrade gantry on this machine");
  }
  if (!fresh && version < 1) {
    throw Error(ErrorCode::corrupt, fmt::format("{} is damaged: it has no format version", path),
                "restore the file from a backup, or move it away to start empty");
  }

  if (fresh) database.execute(fmt::format("PRAGMA page_size = {}", page_bytes));
  if (auto mode = database.query_text("PRAGMA journal_mode = WAL"); mode != "wal") {
    throw Error(ErrorCode::unsupported, fmt::format("{}: its file system cannot hold a write-ahead log", path),
                "keep the file on a local disk, not on a network drive");
  }
  for (auto from = fresh ? format : version; from < format; ++from) {
    in_transaction(database, [&] {
      steps[static_cast<std::size_t>(from - 1)](database);
      database.execute(fmt::format("PRAGMA user_version = {}", from + 1));
    });
  }
  in_transaction(database, [&] {
    for (const auto& table : state::tables) database.execute(create_sql(table));
    if (!fresh) return;
    database.execute(fmt::format("PRAGMA application_id = {}", application_id));
    database.execute(fmt::format("PRAGMA user_version = {}", format));
  });
  return fresh;
}

std::string table_sql(const TableInfo& table, Verb verb) {
  auto key = key_sql(table.shape);
  switch (verb) {
    case Verb::put:
      return fmt::format("INSERT OR REPLACE INTO \"{}\"({}, value) VALUES({}, ?3)", table.name, key.columns,
                         key.parameters);
    case Verb::erase: return fmt::format("DELETE FROM \"{}\" WHERE {}", table.name, key.equal);
    case Verb::erase_through: return fmt::format("DELETE FROM \"{}\" WHERE sequence <= ?1", table.name);
    case Verb::read: return fmt::format("SELECT value FROM \"{}\" WHERE {}", table.name, key.equal);
    case Verb::scan_first:
      return fmt::format("SELECT {}, value FROM \"{}\" ORDER BY {} LIMIT ?4", key.selected, table.name, key.columns);
    case Verb::scan_after:
      return fmt::format("SELECT {}, value FROM \"{}\" WHERE {} ORDER BY {} LIMIT ?4", key.selected, table.name,
                         key.greater, key.columns);
  }
  return {};
}

void bind_key(Statement& statement, const TableInfo& table, const state::Key& key) {
  if (table.shape != KeyShape::by_name) {
    GANTRY_ASSERT(key.sequence <= std::uint64_t(std::numeric_limits<std::int64_t>::max()));
    statement.bind(sequence_parameter, static_cast<std::int64_t>(key.sequence));
  }
  if (table.shape != KeyShape::by_sequence) statement.bind(name_parameter, key.name);
}

}  // namespace gantry::store::sqlite
