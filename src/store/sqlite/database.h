// A thin layer over SQLite's C API: connections and prepared statements that clean up after themselves, and SQLite's
// error codes in our words. A connection and its statements are used by one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "base/error.h"

namespace gantry::store::sqlite {

/// What SQLite said when something failed; taken before the next call replaces it.
struct Failure {
  int code = SQLITE_OK;  // extended result code
  int system_errno = 0;  // of the system call behind an I/O error, else 0
  std::string message;   // "disk I/O error (Input/output error)"

  int primary() const { return code & 0xff; }
};

/// The failure as the error of an operation on `path`; `doing` says which ("reading definition").
Error error_of(const Failure& failure, std::string_view path, std::string_view doing);

class Database {
 public:
  enum class Access { read_write, read_only };

  /// Opens an existing file. `vfs` is the SQLite VFS to go through; empty for the system's. Throws Error.
  Database(std::string path, Access access, const std::string& vfs);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  sqlite3* handle() const { return handle_; }
  const std::string& path() const { return path_; }

  /// Runs statements that return nothing of interest. Throws Error.
  void execute(const std::string& sql);
  /// The first column of the first row. Throws Error.
  std::int64_t query_integer(const std::string& sql);
  std::string query_text(const std::string& sql);

  /// Of the call that failed last on this connection.
  Failure failure() const;
  Error error(std::string_view doing) const { return error_of(failure(), path_, doing); }

 private:
  /// Of the last system call on the log that failed; 0 if none has.
  int log_errno() const;

  std::string path_;
  sqlite3* handle_ = nullptr;
};

/// Must not outlive its Database.
class Statement {
 public:
  /// Throws Error.
  Statement(Database& database, const std::string& sql);
  ~Statement() { sqlite3_finalize(handle_); }
  Statement(Statement&& other) noexcept : database_(other.database_), handle_(other.handle_) {
    other.handle_ = nullptr;
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Parameters count from 1. Text is not copied: it must live until the statement is reset.
  void bind(int parameter, std::int64_t number) { sqlite3_bind_int64(handle_, parameter, number); }
  /// False if it is longer than SQLite takes (1 GB).
  bool bind(int parameter, std::string_view text) {
    // A null pointer would be NULL, which is not the empty text.
    const char* data = text.empty() ? "" : text.data();
    return sqlite3_bind_text64(handle_, parameter, data, text.size(), SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK;
  }

  /// Runs a statement without rows to its end and resets it; SQLITE_OK or an extended result code. Does not throw.
  int run() {
    int step = sqlite3_step(handle_);
    int reset = sqlite3_reset(handle_);
    return step == SQLITE_DONE || step == SQLITE_ROW ? SQLITE_OK : reset == SQLITE_OK ? step : reset;
  }

  /// True if there is a row. Throws Error.
  bool step(std::string_view doing);
  void reset() { sqlite3_reset(handle_); }

  // Columns of the current row count from 0; text is valid until the next step or reset.
  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  std::string_view text(int column) const;

 private:
  Database* database_;
  sqlite3_stmt* handle_ = nullptr;
};

/// Resets a statement however the scope is left, so that no read transaction stays open.
struct ResetStatement {
  explicit ResetStatement(Statement& s) : statement(s) {}
  ResetStatement(const ResetStatement&) = delete;
  ResetStatement& operator=(const ResetStatement&) = delete;
  ~ResetStatement() { statement.reset(); }
  Statement& statement;
};

}  // namespace gantry::store::sqlite
