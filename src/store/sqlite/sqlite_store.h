// The store in one SQLite file: the embedded default (design 3.7, 3.19).
//
// Threads: one that writes, one that copies the log into the file, and whoever reads. A batch is one SQLite
// transaction, durable by an fsync of the write-ahead log (synchronous=FULL). One process at a time uses a file, held
// by `<path>.lock`; other programs may read it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "store/store.h"

namespace gantry::store {

struct SqliteOptions {
  /// Read the whole file at open and look for damage: about 1 s for each GB. Damage is found anyway when it is read.
  bool check = false;
  /// Waits so long after each commit, as a slower disk would. For benchmarks.
  std::chrono::microseconds fsync_delay{0};
  /// The SQLite VFS to go through, for tests that make the disk fail; empty for the system's.
  std::string vfs = {};
};

struct SqliteMetrics {
  std::int64_t wal_bytes = 0;  // in the log and not yet disposable
  std::int64_t checkpoints = 0;
  std::int64_t checkpoint_failures = 0;
  std::int64_t commits = 0;
  std::int64_t rows = 0;  // put or erased by these commits
};

class SqliteStore : public Store {
 public:
  /// From any thread.
  virtual SqliteMetrics metrics() const = 0;
};

/// Opens the file at `path`, or creates it with permissions for its owner alone; its directory must exist. Throws
/// Error: conflict (another process uses it), unavailable (cannot be read or written), invalid_input (not ours),
/// unsupported (written by a newer gantry), corrupt.
///
/// `done` of a write is called on the writer's thread. An unknown outcome ends the writing: every later batch fails
/// until the file is opened again. The destructor finishes a batch in flight, `done` included; no read may run by then.
std::unique_ptr<SqliteStore> open_sqlite(std::string path, SqliteOptions options = {});

}  // namespace gantry::store
