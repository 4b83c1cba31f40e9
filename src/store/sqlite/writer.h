// The one connection that writes, and what a failure of it means.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/sqlite/database.h"
#include "store/store.h"

namespace gantry::store::sqlite {

/// By one thread at a time, except for the counters.
class Writer {
 public:
  /// Opens the file, makes it current (sqlite/schema.h) and prepares every statement. Throws Error.
  Writer(const std::string& path, const std::string& vfs);

  /// One transaction. Does not throw.
  WriteResult apply(const Batch& batch);
  /// Throws Error(corrupt) if SQLite finds damage anywhere in the file.
  void check();

  bool created() const { return created_; }
  /// Frames in the log after the last commit.
  std::int64_t wal_frames() const { return wal_frames_; }
  std::int64_t commits() const { return commits_.load(std::memory_order_relaxed); }
  std::int64_t rows() const { return rows_.load(std::memory_order_relaxed); }

 private:
  struct Statements {
    Statement put, erase;
    std::optional<Statement> erase_through;  // by_sequence tables
  };

  static int on_commit(void* self, sqlite3*, const char*, int frames);
  /// The transaction up to COMMIT; SQLITE_OK or a result code.
  int write_rows(const Batch& batch);
  WriteResult not_written(const Failure& failure);
  WriteResult not_known(const Failure& failure);

  Database database_;
  bool created_;
  Statement begin_;
  Statement commit_;
  Statement rollback_;
  std::vector<Statements> tables_;  // by TableId
  std::string stopped_;             // why nothing is written any more; empty while all is well
  std::int64_t wal_frames_ = 0;
  std::atomic<std::int64_t> commits_ = 0;
  std::atomic<std::int64_t> rows_ = 0;
};

}  // namespace gantry::store::sqlite
