#include "store/sqlite/checkpointer.h"

#include <pthread.h>

#include "base/log.h"
#include "store/sqlite/limits.h"

namespace gantry::store::sqlite {

const std::int64_t Checkpointer::frame_bytes = wal_frame_bytes;

Checkpointer::Checkpointer(const std::string& path, const std::string& vfs, std::mutex& writing)
    : database_(path, Database::Access::read_write, vfs), writing_(writing), alarm_bytes_(wal_alarm_bytes) {
  database_.execute("PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA wal_autocheckpoint = 0");
  database_.query_integer("SELECT count(*) FROM sqlite_schema");
  sqlite3_busy_timeout(database_.handle(), checkpoint_busy_timeout_ms);
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "store-checkpt");
}

Checkpointer::~Checkpointer() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

std::int64_t Checkpointer::rest_bytes() const {
  return (frames_.load(std::memory_order_relaxed) - copied_.load(std::memory_order_relaxed)) * frame_bytes;
}

bool Checkpointer::due() const { return rest_bytes() > wal_passive_bytes || wal_bytes() > wal_restart_bytes; }

void Checkpointer::wal_grew(std::int64_t frames) {
  // Fewer than before: the log began anew, and nothing of it is copied yet.
  if (frames < frames_.load(std::memory_order_relaxed)) copied_.store(0, std::memory_order_relaxed);
  frames_.store(frames, std::memory_order_relaxed);
  if (!due()) return;
  {
    std::lock_guard lock(mutex_);
    if (requested_) return;
    requested_ = true;
  }
  wake_.notify_one();
}

void Checkpointer::give_way() {
  if (!wants_writer_.load(std::memory_order_relaxed) && wal_bytes() <= wal_hold_bytes) return;
  std::unique_lock lock(mutex_);
  turn_.wait_for(lock, writer_wait_max,
                 [this] { return !wants_writer_ && (wal_bytes() <= wal_hold_bytes || !requested_ || blocked_); });
}

void Checkpointer::set_wants_writer(bool wants) {
  {
    std::lock_guard lock(mutex_);
    wants_writer_ = wants;
  }
  if (!wants) turn_.notify_one();
}

void Checkpointer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return requested_ || stop_; });
    if (stop_) return;
    lock.unlock();
    bool complete = checkpoint();
    warn_of_long_log();
    lock.lock();
    blocked_ = !complete;
    if (!complete) {
      turn_.notify_one();
      wake_.wait_for(lock, checkpoint_retry_delay, [this] { return stop_; });
    }
    requested_ = false;
    turn_.notify_one();
  }
}

bool Checkpointer::checkpoint() {
  for (int pass = 0; pass < passive_passes_max; ++pass) {
    if (!copy(SQLITE_CHECKPOINT_PASSIVE)) return false;
    if (wal_bytes() <= wal_restart_bytes) return true;
    // What was written during the pass is left for the next, so that the writer is not held for long.
    if (rest_bytes() <= wal_rest_bytes) break;
  }
  // A busy writer gives the lock back for a moment only: without being asked, it would not let anyone else have it.
  set_wants_writer(true);
  std::lock_guard hold(writing_);
  set_wants_writer(false);
  return copy(SQLITE_CHECKPOINT_RESTART);
}

bool Checkpointer::copy(int mode) {
  int frames = 0;
  int copied = 0;
  // A reader may keep a part of the log from being copied.
  int code = sqlite3_wal_checkpoint_v2(database_.handle(), "main", mode, &frames, &copied);
  if (code == SQLITE_OK) {
    checkpoints_.fetch_add(1, std::memory_order_relaxed);
    copied_.store(copied, std::memory_order_relaxed);
    if (mode != SQLITE_CHECKPOINT_PASSIVE && copied == frames) {
      // Only the next commit begins the log anew, but what it holds is of no use any more.
      frames_.store(0, std::memory_order_relaxed);
      copied_.store(0, std::memory_order_relaxed);
    }
    if (failing_) log_info("{}: the log is being copied into the file again", database_.path());
    failing_ = false;
    return (frames - copied) * frame_bytes <= wal_passive_bytes;
  }
  if ((code & 0xff) == SQLITE_BUSY) return false;  // a reader, not a fault: warn_of_long_log sees to it
  failures_.fetch_add(1, std::memory_order_relaxed);
  if (!failing_) {
    log_warning("{}; its log grows until this works again", database_.error("copying the log into the file").message());
  }
  failing_ = true;
  return false;
}

void Checkpointer::warn_of_long_log() {
  auto bytes = wal_bytes();
  if (bytes < wal_alarm_bytes) alarm_bytes_ = wal_alarm_bytes;
  if (bytes < alarm_bytes_) return;
  log_warning("{}-wal holds {} MB: a program that reads the file (a backup, an SQLite shell) keeps it from shrinking",
              database_.path(), bytes >> 20);
  alarm_bytes_ = bytes * 2;
}

}  // namespace gantry::store::sqlite
