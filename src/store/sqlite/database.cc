#include "store/sqlite/database.h"

#include <cstring>

#include <fmt/format.h>

#include "store/sqlite/limits.h"

namespace gantry::store::sqlite {

Error error_of(const Failure& failure, std::string_view path, std::string_view doing) {
  auto text = fmt::format("{}: {}: {}", path, doing, failure.message);
  if (failure.code == SQLITE_IOERR_CORRUPTFS) {
    return Error(ErrorCode::corrupt, text, "the file system itself is damaged: check it, then restore a backup");
  }
  switch (failure.primary()) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Error(ErrorCode::corrupt, fmt::format("{} is damaged: {} ({})", path, failure.message, doing),
                   "restore the file from a backup, or move it away to start empty");
    case SQLITE_FULL: return Error(ErrorCode::unavailable, text, "free some space on this disk");
    case SQLITE_READONLY: return Error(ErrorCode::unavailable, text, "make the file and its directory writable");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error(ErrorCode::unavailable, text, "another program holds the file locked: end it and try again");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Error(ErrorCode::unavailable, text, "check that the file and its directory can be read and written");
    case SQLITE_IOERR: return Error(ErrorCode::unavailable, text, "check the disk and the kernel's log");
    case SQLITE_NOMEM: return Error(ErrorCode::unavailable, text, "the machine is out of memory");
    case SQLITE_TOOBIG: return Error(ErrorCode::too_large, text);
    default: return Error(ErrorCode::internal, text);
  }
}

Database::Database(std::string path, Access access, const std::string& vfs) : path_(std::move(path)) {
  int flags = (access == Access::read_write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX |
              SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2(path_.c_str(), &handle_, flags, vfs.empty() ? nullptr : vfs.c_str()) != SQLITE_OK) {
    auto cause = error("opening it");
    sqlite3_close(handle_);
    throw cause;
  }
  sqlite3_busy_timeout(handle_, busy_timeout_ms);
}

Database::~Database() { sqlite3_close(handle_); }

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) throw error(sql);
}

std::int64_t Database::query_integer(const std::string& sql) {
  Statement statement(*this, sql);
  return statement.step(sql) ? statement.integer(0) : 0;
}

std::string Database::query_text(const std::string& sql) {
  Statement statement(*this, sql);
  return statement.step(sql) ? std::string(statement.text(0)) : std::string();
}

int Database::log_errno() const {
  sqlite3_file* log = nullptr;  // the write-ahead log, in spite of the name
  int number = 0;
  if (sqlite3_file_control(handle_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK) return 0;
  if (!log || !log->pMethods || log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number) != SQLITE_OK)
    return 0;
  return number;
}

Failure Database::failure() const {
  Failure failure;
  failure.code = sqlite3_extended_errcode(handle_);
  failure.message = sqlite3_errmsg(handle_);
  if (failure.primary() == SQLITE_IOERR || failure.primary() == SQLITE_CANTOPEN) {
    failure.system_errno = sqlite3_system_errno(handle_);
    // SQLite does not note it for a COMMIT.
    if (failure.code == SQLITE_IOERR_WRITE || failure.code == SQLITE_IOERR_FSYNC) failure.system_errno = log_errno();
    if (failure.system_errno != 0) failure.message += fmt::format(" ({})", std::strerror(failure.system_errno));
  }
  return failure;
}

Statement::Statement(Database& database, const std::string& sql) : database_(&database) {
  if (sqlite3_prepare_v3(database.handle(), sql.c_str(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                         &handle_, nullptr) != SQLITE_OK) {
    throw database.error(sql);
  }
}

bool Statement::step(std::string_view doing) {
  int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  throw database_->error(doing);
}

std::string_view Statement::text(int column) const {
  // As a blob, because the text may hold zero bytes; for a text column of a UTF-8 file these are the same bytes.
  auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  return {data, data ? static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)) : 0};
}

}  // namespace gantry::store::sqlite
