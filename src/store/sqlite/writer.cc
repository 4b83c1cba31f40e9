#include "store/sqlite/writer.h"

#include <cerrno>

#include <fmt/format.h>

#include "store/sqlite/limits.h"
#include "store/sqlite/schema.h"

namespace gantry::store::sqlite {
namespace {

bool is_full(const Failure& failure) {
  return failure.primary() == SQLITE_FULL || failure.system_errno == ENOSPC || failure.system_errno == EDQUOT;
}

/// Whether a failed COMMIT certainly left nothing behind. A refused write is certain: the frame that makes the rest of
/// the log valid is the last one written. After a failed fsync that frame is there, and a restart may or may not find
/// it.
bool certainly_not_committed(const Failure& failure) {
  switch (failure.primary()) {
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_BUSY: return true;
    case SQLITE_IOERR:
      return failure.code == SQLITE_IOERR_WRITE && (failure.system_errno == ENOSPC || failure.system_errno == EDQUOT ||
                                                    failure.system_errno == EFBIG || failure.system_errno == EROFS);
    default: return false;
  }
}

}  // namespace

Writer::Writer(const std::string& path, const std::string& vfs)
    : database_(path, Database::Access::read_write, vfs),
      created_(prepare_schema(database_)),
      begin_(database_, "BEGIN IMMEDIATE"),
      commit_(database_, "COMMIT"),
      rollback_(database_, "ROLLBACK") {
  database_.execute(
      fmt::format("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {}; "
                  "PRAGMA cache_size = -{}; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; "
                  "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF",
                  wal_keep_bytes, writer_cache_kib));
  for (const auto& table : state::tables) {
    tables_.push_back({{database_, table_sql(table, Verb::put)}, {database_, table_sql(table, Verb::erase)}, {}});
    if (table.shape == state::KeyShape::by_sequence) {
      tables_.back().erase_through.emplace(database_, table_sql(table, Verb::erase_through));
    }
  }
  sqlite3_wal_hook(database_.handle(), &Writer::on_commit, this);
}

void Writer::check() {
  auto found = database_.query_text("PRAGMA quick_check(1)");
  if (found == "ok") return;
  throw Error(ErrorCode::corrupt, fmt::format("{} is damaged: {}", database_.path(), found),
              "restore the file from a backup, or move it away to start empty");
}

int Writer::on_commit(void* self, sqlite3*, const char*, int frames) {
  static_cast<Writer*>(self)->wal_frames_ = frames;
  return SQLITE_OK;
}

WriteResult Writer::apply(const Batch& batch) {
  if (!stopped_.empty()) return {Outcome::failed, stopped_};
  if (batch.writes.empty()) return {};
  bool committing = false;
  int code = begin_.run();
  if (code == SQLITE_OK) code = write_rows(batch);
  if (code == SQLITE_OK) {
    committing = true;
    code = commit_.run();
  }
  if (code == SQLITE_OK) {
    commits_.fetch_add(1, std::memory_order_relaxed);
    rows_.fetch_add(static_cast<std::int64_t>(batch.writes.size()), std::memory_order_relaxed);
    return {};
  }
  auto failure = database_.failure();
  // SQLite has rolled back by itself after some failures and not after others.
  bool open = !sqlite3_get_autocommit(database_.handle());
  if (open && rollback_.run() != SQLITE_OK && !sqlite3_get_autocommit(database_.handle())) return not_known(failure);
  if (committing && !certainly_not_committed(failure)) return not_known(failure);
  return not_written(failure);
}

int Writer::write_rows(const Batch& batch) {
  for (const auto& write : batch.writes) {
    auto index = static_cast<std::size_t>(write.table);
    auto& table = tables_[index];
    auto& statement = write.through ? *table.erase_through : write.value ? table.put : table.erase;
    bind_key(statement, state::tables[index], write.key);
    if (write.value && !statement.bind(value_parameter, *write.value)) return SQLITE_TOOBIG;
    if (int code = statement.run(); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

WriteResult Writer::not_written(const Failure& failure) {
  auto error = error_of(failure, database_.path(), "writing");
  auto reason = is_full(failure)
                    ? fmt::format("{}: no space left on its disk: free some, and writing goes on", database_.path())
                    : fmt::format("{}{}{}", error.message(), error.hint().empty() ? "" : ": ", error.hint());
  return {Outcome::failed, reason + " (nothing of this batch was written)"};
}

WriteResult Writer::not_known(const Failure& failure) {
  auto error = error_of(failure, database_.path(), "committing");
  stopped_ = fmt::format("{}: writing has stopped since a commit failed ({}): check the disk, then open the file again",
                         database_.path(), failure.message);
  return {
      Outcome::unknown,
      fmt::format("{}: the last batch may or may not be there after a restart: check the disk and the kernel's log, "
                  "then open the file again",
                  error.message())};
}

}  // namespace gantry::store::sqlite
