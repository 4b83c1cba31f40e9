#include "store/sqlite/sqlite_store.h"

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "store/sqlite/checkpointer.h"
#include "store/sqlite/file_lock.h"
#include "store/sqlite/limits.h"
#include "store/sqlite/reader_pool.h"
#include "store/sqlite/writer.h"

namespace gantry::store {
namespace sqlite {
namespace {

using Done = std::move_only_function<void(WriteResult)>;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// The path without links, so that two names of one file share one lock. Throws Error.
std::string resolve(const std::string& path) {
  std::error_code code;
  auto resolved = std::filesystem::weakly_canonical(std::filesystem::absolute(path, code), code);
  if (code) throw Error(ErrorCode::unavailable, fmt::format("{}: {}", path, code.message()));
  auto directory = resolved.parent_path();
  if (!std::filesystem::is_directory(directory, code)) {
    throw Error(ErrorCode::unavailable, fmt::format("{}: the directory {} does not exist", path, directory.string()),
                "create it, or give the path of an existing one");
  }
  if (std::filesystem::is_directory(resolved, code)) {
    throw Error(ErrorCode::invalid_input, fmt::format("{} is a directory", path), "give the path of a file in it");
  }
  return resolved.string();
}

/// SQLite would create the file readable for everyone, and open one that it may not write for reading only.
void create_file(const std::string& path) {
  int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    throw Error(ErrorCode::unavailable, fmt::format("{}: cannot open it for writing: {}", path, std::strerror(errno)),
                "the file and its directory must be writable for the user that runs gantry");
  }
  ::close(descriptor);
}

/// Locks first: opening and closing the file beside an SQLite connection of this process would end that one's locks.
std::unique_ptr<FileLock> claim(const std::string& path) {
  auto lock = std::make_unique<FileLock>(path + ".lock", path);
  create_file(path);
  return lock;
}

class Implementation : public SqliteStore {
 public:
  Implementation(const std::string& path, const SqliteOptions& options)
      : lock_(claim(path)), fsync_delay_(options.fsync_delay), writer_(path, options.vfs), readers_(path, options.vfs) {
    if (options.check) writer_.check();
    if (writer_.created()) log_info("{}: created an empty store", path);
    checkpointer_.emplace(path, options.vfs, writing_);
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "store-writer");
  }

  ~Implementation() override {
    stop_.store(true, std::memory_order_relaxed);
    {
      std::lock_guard lock(mutex_);
      news_.store(true, std::memory_order_release);
    }
    wake_.notify_one();
    thread_.join();
    // Before the writer, so that the last connection to close is the one that may clean up the log.
    checkpointer_.reset();
  }

  void write(Batch batch, Done done) override {
    GANTRY_ASSERT(!busy_.exchange(true, std::memory_order_acquire));
    batch_ = std::move(batch);
    done_ = std::move(done);
    {
      std::lock_guard lock(mutex_);
      news_.store(true, std::memory_order_release);
    }
    wake_.notify_one();
  }

  state::Value read(state::TableId table, const state::Key& key) override {
    return readers_.with_reader([&](Reader& reader) { return reader.read(table, key); });
  }

  std::vector<Entry> scan(state::TableId table, const state::Key* after, std::size_t limit) override {
    return readers_.with_reader([&](Reader& reader) { return reader.scan(table, after, limit); });
  }

  SqliteMetrics metrics() const override {
    return {checkpointer_->wal_bytes(), checkpointer_->checkpoints(), checkpointer_->failures(), writer_.commits(),
            writer_.rows()};
  }

 private:
  void run() {
    while (true) {
      wait_for_news();
      if (busy_.load(std::memory_order_relaxed)) {
        write_batch();
      } else if (stop_.load(std::memory_order_relaxed)) {
        return;
      }
    }
  }

  /// A busy store hands over the next batch before the writer is asleep, which saves both sides a wake-up.
  void wait_for_news() {
    for (int spin = 0; spin < writer_spins && !news_.load(std::memory_order_acquire); ++spin) pause();
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return news_.load(std::memory_order_acquire); });
    // A batch and the request to stop may have come together: the stop is seen again next time.
    news_.store(stop_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }

  void write_batch() {
    Batch batch = std::move(batch_);
    Done done = std::move(done_);
    WriteResult result;
    checkpointer_->give_way();
    {
      std::lock_guard lock(writing_);
      result = writer_.apply(batch);
      checkpointer_->wal_grew(writer_.wal_frames());
    }
    // tidy: allow(env) because this is the writer thread, and the delay plays a slow disk for a benchmark
    if (fsync_delay_.count() > 0 && result.outcome == Outcome::durable) std::this_thread::sleep_for(fsync_delay_);
    busy_.store(false, std::memory_order_release);
    done(std::move(result));
  }

  std::unique_ptr<FileLock> lock_;
  std::chrono::microseconds fsync_delay_;
  std::mutex writing_;  // held during each transaction, and by a checkpoint that needs the writer to wait
  Writer writer_;
  ReaderPool readers_;
  std::optional<Checkpointer> checkpointer_;

  // The hand-over of one batch. `batch_` and `done_` belong to the caller of write() while `busy_` is false, and to the
  // writer's thread from the moment that `news_` is set.
  std::atomic<bool> busy_ = false;
  Batch batch_;
  Done done_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> news_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace
}  // namespace sqlite

std::unique_ptr<SqliteStore> open_sqlite(std::string path, SqliteOptions options) {
  auto resolved = sqlite::resolve(path);
  return std::make_unique<sqlite::Implementation>(resolved, options);
}

}  // namespace gantry::store
