// The read connections: opened when first needed, at most readers_max, each with its prepared statements. Any thread.
#pragma once

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/state/write.h"
#include "store/sqlite/database.h"
#include "store/store.h"

namespace gantry::store::sqlite {

/// One connection; by one thread at a time. All of these throw Error.
class Reader {
 public:
  Reader(const std::string& path, const std::string& vfs);

  state::Value read(state::TableId table, const state::Key& key);
  std::vector<Entry> scan(state::TableId table, const state::Key* after, std::size_t limit);

 private:
  struct Statements {
    std::optional<Statement> read, scan_first, scan_after;
  };

  void scan_step(const state::TableInfo& table, const state::Key* after, std::size_t limit,
                 std::vector<Entry>& entries);

  Database database_;
  std::array<Statements, state::table_count> statements_;
};

class ReaderPool {
 public:
  ReaderPool(std::string path, std::string vfs) : path_(std::move(path)), vfs_(std::move(vfs)) {}

  /// Calls `work(reader)` and returns what it returns. A connection on which something failed is closed, so that the
  /// next read starts afresh. Throws what `work` throws, and Error(unavailable) if no connection is free for
  /// reader_wait_max.
  template <class Work>
  auto with_reader(Work work) {
    Lease lease(*this);
    auto result = work(*lease.reader);
    lease.keep = true;
    return result;
  }

 private:
  struct Lease {
    explicit Lease(ReaderPool& p) : pool(p), reader(p.take()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool.give_back(keep ? std::move(reader) : nullptr); }
    ReaderPool& pool;
    std::unique_ptr<Reader> reader;
    bool keep = false;
  };

  std::unique_ptr<Reader> take();
  void give_back(std::unique_ptr<Reader> reader);

  std::string path_;
  std::string vfs_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Reader>> idle_;
  int open_ = 0;  // idle or in use
};

}  // namespace gantry::store::sqlite
