// Copies the write-ahead log into the file, on a connection and a thread of its own, so that a commit never pays for
// it.
//
// A passive checkpoint works beside the writer but can never catch up with a busy one, so once the log is long the
// writer is held for the short rest, and begins the log anew. Reused log pages also make for a faster fsync than
// appended ones.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "store/sqlite/database.h"

namespace gantry::store::sqlite {

class Checkpointer {
 public:
  /// `writing` is held by the writer during each transaction.
  Checkpointer(const std::string& path, const std::string& vfs, std::mutex& writing);
  /// Finishes a checkpoint that runs.
  ~Checkpointer();

  /// After a commit: the log has so many frames. The caller holds `writing`.
  void wal_grew(std::int64_t frames);

  /// Before a transaction, without `writing`: lets a checkpoint that waits for the writer go first, and while the log
  /// is longer than wal_hold_bytes waits for the checkpoint that runs. No longer than writer_wait_max, and not at all
  /// for a checkpoint that a reader blocks.
  void give_way();

  // From any thread.
  std::int64_t wal_bytes() const { return frames_.load(std::memory_order_relaxed) * frame_bytes; }
  std::int64_t checkpoints() const { return checkpoints_.load(std::memory_order_relaxed); }
  std::int64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  static const std::int64_t frame_bytes;

  void run();
  bool due() const;
  /// In the log, and not yet copied into the file.
  std::int64_t rest_bytes() const;
  /// False if it could not do all it was asked to.
  bool checkpoint();
  bool copy(int mode);
  void set_wants_writer(bool wants);
  void warn_of_long_log();

  Database database_;
  std::mutex& writing_;
  std::atomic<std::int64_t> frames_ = 0;  // in the log
  std::atomic<std::int64_t> copied_ = 0;  // of these, by the last checkpoint
  std::atomic<std::int64_t> checkpoints_ = 0;
  std::atomic<std::int64_t> failures_ = 0;
  std::int64_t alarm_bytes_;
  bool failing_ = false;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable turn_;  // for the writer
  std::atomic<bool> wants_writer_ = false;
  bool requested_ = false;
  bool blocked_ = false;  // the last checkpoint could not finish
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace gantry::store::sqlite
