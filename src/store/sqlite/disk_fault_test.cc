// Disks that are full, and disks that fail: what is acknowledged stays, nothing is half there, the store says which.
#include <csignal>

#include <sys/mount.h>
#include <sys/resource.h>

#include "store/sqlite/fault_vfs_test.h"
#include "store/sqlite/limits.h"
#include "store/sqlite/support_test.h"

namespace gantry::store {
namespace {

using sqlite::FaultVfs;
using state::TableId;

constexpr std::uint64_t rows = 20;
constexpr std::size_t row_bytes = 1200;

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class DiskFault : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open() { return open_sqlite(directory_.file(), {.vfs = FaultVfs::name}); }
  std::set<std::uint64_t> after_restart() { return whole_batches(*open(), rows); }

  TemporaryDirectory directory_;
  FaultVfs disk_;
};

TEST_F(DiskFault, what_is_acknowledged_has_been_synced) {
  auto store = open();
  for (std::uint64_t n = 0; n < 50; ++n) {
    std::promise<int> unsynced;
    int syncs = disk_.syncs;
    store->write({numbered_batch(n, rows, row_bytes)},
                 [&](WriteResult) { unsynced.set_value(disk_.unsynced_log_writes); });
    EXPECT_EQ(unsynced.get_future().get(), 0);
    EXPECT_GT(disk_.syncs, syncs);
  }
}

TEST_F(DiskFault, a_full_disk_fails_the_batch_wherever_it_strikes) {
  auto store = open();
  std::set<std::uint64_t> acknowledged;
  int failed = 0;
  for (int writes_left = 0; writes_left < 40; ++writes_left) {
    auto number = static_cast<std::uint64_t>(writes_left);
    disk_.writes_left = writes_left;
    auto result = write_and_wait(*store, numbered_batch(number, rows, row_bytes));
    disk_.writes_left = -1;
    if (result.outcome == Outcome::durable) {
      acknowledged.insert(number);
    } else {
      ++failed;
      EXPECT_EQ(result.outcome, Outcome::failed) << result.message;
      EXPECT_TRUE(contains(result.message, directory_.file() + ": no space left")) << result.message;
    }
    EXPECT_EQ(whole_batches(*store, rows), acknowledged);
    if (writes_left % 10 == 9) {
      store.reset();
      store = open();
    }
  }
  EXPECT_GT(failed, 10);
  EXPECT_GT(acknowledged.size(), 3u);
  ASSERT_EQ(write_and_wait(*store, numbered_batch(1, rows, row_bytes)).outcome, Outcome::durable)
      << "there is room again";
  acknowledged.insert(1);
  store.reset();
  EXPECT_EQ(after_restart(), acknowledged);
}

TEST_F(DiskFault, a_disk_that_fills_up_before_the_commit_fails_the_batch) {
  auto store = open();
  ASSERT_EQ(write_and_wait(*store, numbered_batch(0, rows, row_bytes)).outcome, Outcome::durable);
  // More than the writer's cache holds, so that it writes to the log long before the commit.
  disk_.writes_left = 50;
  auto result = write_and_wait(*store, numbered_batch(1, rows, 1 << 20));
  EXPECT_EQ(result.outcome, Outcome::failed) << result.message;
  disk_.writes_left = -1;
  ASSERT_EQ(write_and_wait(*store, numbered_batch(2, rows, row_bytes)).outcome, Outcome::durable);
  store.reset();
  EXPECT_EQ(after_restart(), (std::set<std::uint64_t>{0, 2}));
}

TEST_F(DiskFault, a_refused_write_is_certain_if_the_reason_is) {
  struct Case {
    int error;
    Outcome outcome;
  };
  for (auto [error, outcome] :
       {Case{EDQUOT, Outcome::failed}, Case{EROFS, Outcome::failed}, Case{EIO, Outcome::unknown}}) {
    auto store = open();
    disk_.write_code = SQLITE_IOERR_WRITE;
    disk_.write_errno = error;
    disk_.writes_left = 5;
    auto result = write_and_wait(*store, numbered_batch(9, rows, row_bytes));
    disk_.writes_left = -1;
    EXPECT_EQ(result.outcome, outcome) << result.message;
    EXPECT_TRUE(error == EDQUOT ? contains(result.message, "no space left")
                                : contains(result.message, std::strerror(error)))
        << result.message;
    EXPECT_TRUE(whole_batches(*store, rows).empty());
  }
}

TEST_F(DiskFault, after_a_failed_sync_nothing_is_written_until_it_is_opened_again) {
  auto store = open();
  for (std::uint64_t n = 0; n < 5; ++n) {
    ASSERT_EQ(write_and_wait(*store, numbered_batch(n, rows, row_bytes)).outcome, Outcome::durable);
  }
  disk_.fail_sync = true;
  auto result = write_and_wait(*store, numbered_batch(5, rows, row_bytes));
  EXPECT_EQ(result.outcome, Outcome::unknown);
  EXPECT_TRUE(contains(result.message, "may or may not be there")) << result.message;
  EXPECT_TRUE(contains(result.message, std::strerror(EIO))) << result.message;
  disk_.fail_sync = false;
  auto later = write_and_wait(*store, numbered_batch(6, rows, row_bytes));
  EXPECT_EQ(later.outcome, Outcome::failed);
  EXPECT_TRUE(contains(later.message, "open the file again")) << later.message;
  EXPECT_EQ(whole_batches(*store, rows).count(0), 1u) << "reading goes on";
  store.reset();

  auto found = after_restart();
  found.erase(5);
  EXPECT_EQ(found, (std::set<std::uint64_t>{0, 1, 2, 3, 4}));
  store = open();
  EXPECT_EQ(write_and_wait(*store, numbered_batch(7, rows, row_bytes)).outcome, Outcome::durable);
}

TEST_F(DiskFault, a_log_that_cannot_be_copied_is_kept_and_copied_later) {
  auto store = open();
  disk_.refuse_file = true;
  std::uint64_t number = 0;
  auto write_until = [&](auto condition) {
    for (auto end = number + 20'000; number < end && !condition(store->metrics()); ++number) {
      auto result = write_and_wait(*store, numbered_batch(number % 8, rows, 32 << 10));
      ASSERT_EQ(result.outcome, Outcome::durable) << result.message;
    }
    ASSERT_TRUE(condition(store->metrics()));
  };
  write_until([](const SqliteMetrics& metrics) { return metrics.checkpoint_failures > 0; });
  EXPECT_EQ(store->metrics().checkpoints, 0);
  EXPECT_GT(store->metrics().wal_bytes, sqlite::wal_passive_bytes);
  disk_.refuse_file = false;
  write_until([](const SqliteMetrics& metrics) { return metrics.checkpoints > 0; });
  store.reset();
  EXPECT_EQ(after_restart().size(), 8u);
}

/// Files may not grow beyond so many bytes while it lives.
struct FileSizeLimit {
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before);
    handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit now{bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  rlimit before{};
  void (*handler)(int);
};

TEST(FileSize, a_log_that_may_not_grow_fails_the_batch) {
  TemporaryDirectory directory;
  auto store = open_sqlite(directory.file());
  ASSERT_EQ(write_and_wait(*store, numbered_batch(0, rows, row_bytes)).outcome, Outcome::durable);
  WriteResult result;
  {
    FileSizeLimit limit(std::filesystem::file_size(directory.file() + "-wal") + 10'000);
    result = write_and_wait(*store, numbered_batch(1, rows, row_bytes));
  }
  EXPECT_EQ(result.outcome, Outcome::failed) << result.message;
  EXPECT_TRUE(contains(result.message, std::strerror(EFBIG))) << result.message;
  ASSERT_EQ(write_and_wait(*store, numbered_batch(2, rows, row_bytes)).outcome, Outcome::durable);
  store.reset();
  EXPECT_EQ(whole_batches(*open_sqlite(directory.file()), rows), (std::set<std::uint64_t>{0, 2}));
}

/// A file system of its own, of a few MB.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& where) : where_(where) {
    mounted_ = ::mount("tmpfs", where.c_str(), "tmpfs", 0, "size=6m") == 0;
    error_ = mounted_ ? 0 : errno;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(where_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  const char* why_not() const { return std::strerror(error_); }

 private:
  std::string where_;
  bool mounted_;
  int error_;
};

TEST(FullDisk, a_real_one_fails_batches_until_there_is_room) {
  TemporaryDirectory directory;
  SmallDisk disk(directory.path());
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a small tmpfs: " << disk.why_not();
  const std::string ballast = directory.file("ballast");
  write_file(ballast, std::string(2 << 20, 'b'));

  auto store = open_sqlite(directory.file());
  std::set<std::uint64_t> acknowledged;
  WriteResult result;
  std::uint64_t number = 0;
  for (; number < 1000; ++number) {
    result = write_and_wait(*store, numbered_batch(number, rows, row_bytes));
    if (result.outcome != Outcome::durable) break;
    acknowledged.insert(number);
  }
  ASSERT_EQ(result.outcome, Outcome::failed) << result.message;
  EXPECT_TRUE(contains(result.message, "no space left")) << result.message;
  EXPECT_GT(acknowledged.size(), 10u);
  EXPECT_EQ(whole_batches(*store, rows), acknowledged);
  EXPECT_EQ(write_and_wait(*store, numbered_batch(number, rows, row_bytes)).outcome, Outcome::failed) << "still full";

  std::filesystem::remove(ballast);
  result = write_and_wait(*store, numbered_batch(number, rows, row_bytes));
  ASSERT_EQ(result.outcome, Outcome::durable) << result.message;
  acknowledged.insert(number);
  store.reset();
  EXPECT_EQ(whole_batches(*open_sqlite(directory.file(), {.check = true}), rows), acknowledged);
}

TEST(FullDisk, a_read_only_file_system_is_refused_clearly) {
  TemporaryDirectory directory;
  SmallDisk disk(directory.path());
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a small tmpfs: " << disk.why_not();
  open_sqlite(directory.file()).reset();
  ASSERT_EQ(::mount("tmpfs", directory.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=6m"), 0);
  auto error = open_error(directory.file());
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_TRUE(contains(error.message(), "Read-only file system")) << error.message();
}

}  // namespace
}  // namespace gantry::store
