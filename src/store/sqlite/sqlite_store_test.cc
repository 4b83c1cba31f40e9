#include "store/sqlite/sqlite_store.h"

#include <random>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include "store/sqlite/database.h"
#include "store/sqlite/limits.h"
#include "store/sqlite/support_test.h"

namespace gantry::store {
namespace {

using state::TableId;

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class SqliteStoreTest : public testing::Test {
 protected:
  /// A closed file with 200 rows in each of two tables.
  void create() {
    auto store = open_sqlite(path_);
    for (std::uint64_t n = 0; n < 20; ++n) {
      auto batch = numbered_batch(n, 10, 700);
      for (int i = 0; i < 10; ++i) batch.push_back({TableId::role, {0, fmt::format("{:022}", n * 10 + i)}, value("7")});
      ASSERT_EQ(write_and_wait(*store, std::move(batch)).outcome, Outcome::durable);
    }
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file();
};

TEST_F(SqliteStoreTest, a_second_opener_is_told_who_has_the_file) {
  auto store = open_sqlite(path_);
  std::filesystem::create_symlink(path_, directory_.file("alias.db"));
  for (const auto& path : {path_, directory_.file("alias.db")}) {
    auto error = open_error(path);
    EXPECT_EQ(error.code(), ErrorCode::conflict);
    EXPECT_TRUE(contains(error.message(), fmt::format("another gantry uses this file (pid {})", ::getpid())))
        << error.message();
  }
  EXPECT_EQ(write_and_wait(*store, {put(TableId::definition, 1, "v")}).outcome, Outcome::durable);
  store.reset();
  EXPECT_NE(open_sqlite(path_)->read(TableId::definition, {1, ""}), nullptr);
}

TEST_F(SqliteStoreTest, only_its_owner_can_read_it) {
  auto store = open_sqlite(path_);
  write_and_wait(*store, {put(TableId::definition, 1, "v")});
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat status{};
    ASSERT_EQ(::stat((path_ + suffix).c_str(), &status), 0) << suffix;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(SqliteStoreTest, paths_that_cannot_be_are_refused_clearly) {
  auto error = open_error(directory_.path() + "/missing/store.db");
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_TRUE(contains(error.message(), "/missing does not exist")) << error.message();
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/missing"));
  EXPECT_TRUE(contains(open_error(directory_.path()).message(), "is a directory"));
}

/// Runs as a user without rights while it lives, if the test runs as root.
struct WithoutRights {
  WithoutRights() {
    if (::geteuid() == 0) active = ::seteuid(65534) == 0;
  }
  ~WithoutRights() {
    if (active && ::seteuid(0) != 0) std::abort();
  }
  bool active = false;
};

TEST_F(SqliteStoreTest, a_file_or_directory_that_is_read_only_is_refused_clearly) {
  create();
  std::filesystem::permissions(directory_.path(), std::filesystem::perms(0777));
  std::filesystem::remove(path_ + ".lock");
  std::filesystem::permissions(path_, std::filesystem::perms(0444));
  {
    WithoutRights user;
    auto error = open_error(path_);
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_TRUE(contains(error.message(), "cannot open it for writing: Permission denied")) << error.message();
  }
  std::filesystem::remove(path_ + ".lock");
  std::filesystem::permissions(path_, std::filesystem::perms(0666));
  std::filesystem::permissions(directory_.path(), std::filesystem::perms(0555));
  {
    WithoutRights user;
    auto error = open_error(path_);
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_TRUE(contains(error.message(), "Permission denied")) << error.message();
    EXPECT_TRUE(contains(error.hint(), "writable")) << error.hint();
  }
  std::filesystem::permissions(directory_.path(), std::filesystem::perms(0755));
}

TEST_F(SqliteStoreTest, what_is_not_a_database_is_damaged) {
  std::mt19937 random(1);
  std::string noise(64 << 10, '\0');
  for (auto& byte : noise) byte = static_cast<char>(random());
  for (const auto& bytes : {noise, noise.substr(0, 700), std::string("hello, this is no database")}) {
    write_file(path_, bytes);
    auto error = open_error(path_);
    EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.message();
    EXPECT_TRUE(contains(error.message(), path_ + " is damaged")) << error.message();
    EXPECT_TRUE(contains(error.hint(), "backup"));
    EXPECT_EQ(read_file(path_), bytes) << "a damaged file was changed";
  }
}

TEST_F(SqliteStoreTest, a_truncated_file_is_damaged) {
  create();
  auto whole = read_file(path_);
  for (auto size :
       {whole.size() - 4096, whole.size() / 2, whole.size() / 2 + 1000, std::size_t(4096), std::size_t(50)}) {
    write_file(path_, whole.substr(0, size));
    EXPECT_EQ(open_error(path_).code(), ErrorCode::corrupt) << "cut to " << size;
  }
}

/// Reads everything; "" or the code of what was thrown.
std::string read_all(Store& store) {
  try {
    for (const auto& table : state::tables) store.scan(table.id, nullptr, 100'000);
    return "";
  } catch (const Error& error) {
    return std::string(error_code_name(error.code()));
  }
}

TEST_F(SqliteStoreTest, damage_in_the_middle_is_an_error_of_the_read_that_meets_it) {
  create();
  auto whole = read_file(path_);
  auto damaged = whole;
  // Every page behind the first (the schema): the kind of page, and where its cells are.
  for (std::size_t page = 4096; page < damaged.size(); page += 4096) damaged.replace(page, 16, 16, '\x5a');
  write_file(path_, damaged);
  auto store = open_sqlite(path_);
  EXPECT_EQ(read_all(*store), "corrupt");
  EXPECT_EQ(read_all(*store), "corrupt") << "and again, on a connection opened anew";
  auto result = write_and_wait(*store, {put(TableId::definition, 5, "v")});
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_TRUE(contains(result.message, "is damaged")) << result.message;
  store.reset();
  auto error = open_error(path_, {.check = true});
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_TRUE(contains(error.message(), "is damaged")) << error.message();
  write_file(path_, whole);
  EXPECT_NO_THROW(open_sqlite(path_, {.check = true}));
}

TEST_F(SqliteStoreTest, flipped_bytes_never_crash_it) {
  create();
  auto whole = read_file(path_);
  std::mt19937 random(42);
  int detected = 0;
  constexpr int trials = 60;
  for (int trial = 0; trial < trials; ++trial) {
    auto damaged = whole;
    for (int flip = 0; flip < 40; ++flip) {
      auto page = 1 + random() % (damaged.size() / 4096 - 1);
      // Half of them at the start of a page, where its structure is.
      auto offset = flip % 2 ? random() % 4096 : random() % 64;
      damaged[page * 4096 + offset] = static_cast<char>(random());
    }
    write_file(path_, damaged);
    try {
      auto store = open_sqlite(path_);
      auto found = read_all(*store);
      EXPECT_TRUE(found == "" || found == "corrupt") << found << " in trial " << trial;
      detected += found != "";
      write_and_wait(*store, numbered_batch(3, 10, 900));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.message();
      ++detected;
    }
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(path_ + suffix);
  }
  EXPECT_GT(detected, trials / 2);
}

TEST_F(SqliteStoreTest, a_log_that_belongs_to_nothing_is_ignored) {
  create();
  write_file(path_ + "-wal", std::string(100'000, 'x'));
  EXPECT_EQ(whole_batches(*open_sqlite(path_), 10).size(), 20u);
}

TEST_F(SqliteStoreTest, the_log_does_not_grow_without_end) {
  auto store = open_sqlite(path_);
  constexpr std::int64_t log_bytes_max = 3 * sqlite::wal_restart_bytes;
  constexpr std::uint64_t batch_rows = 4;
  constexpr std::size_t row_bytes = 128 << 10;
  constexpr std::int64_t batches = 6 * sqlite::wal_restart_bytes / std::int64_t(row_bytes * batch_rows);
  // Each batch is given inside the `done` of the one before, so a checkpoint never finds the writer idle. The same keys
  // over and over: the file stays small.
  std::atomic<std::int64_t> log_bytes = 0;
  std::promise<std::int64_t> finished;
  std::function<void(std::int64_t)> next = [&](std::int64_t n) {
    store->write({numbered_batch(static_cast<std::uint64_t>(n % 4), batch_rows, row_bytes)},
                 [&, n](WriteResult result) {
                   log_bytes = std::max<std::int64_t>(log_bytes, store->metrics().wal_bytes);
                   if (result.outcome != Outcome::durable || n + 1 == batches) return finished.set_value(n + 1);
                   next(n + 1);
                 });
  };
  next(0);
  auto written = finished.get_future();
  ASSERT_EQ(written.wait_for(write_deadline), std::future_status::ready);
  EXPECT_EQ(written.get(), batches);
  EXPECT_LT(log_bytes, log_bytes_max);
  EXPECT_LT(std::int64_t(std::filesystem::file_size(path_ + "-wal")), log_bytes_max);
  auto metrics = store->metrics();
  EXPECT_GE(metrics.checkpoints, 2);
  EXPECT_EQ(metrics.checkpoint_failures, 0);
  EXPECT_EQ(metrics.commits, batches);
  EXPECT_EQ(metrics.rows, batches * std::int64_t(batch_rows));
  store.reset();
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal")) << "a clean end leaves one file";
}

TEST_F(SqliteStoreTest, a_batch_that_cannot_be_written_whole_is_not_written_at_all) {
  auto store = open_sqlite(path_);
  ASSERT_EQ(write_and_wait(*store, {put(TableId::definition, 1, "v")}).outcome, Outcome::durable);
  // Not a failure after which SQLite rolls back by itself.
  sqlite::Database(path_, sqlite::Database::Access::read_write, "").execute("DROP TABLE node");
  auto result = write_and_wait(*store, {put(TableId::definition, 2, "v"), {TableId::node, {0, "n"}, value("v")}});
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_TRUE(contains(result.message, "no such table: node")) << result.message;
  EXPECT_EQ(store->read(TableId::definition, {2, ""}), nullptr);
  EXPECT_EQ(write_and_wait(*store, {put(TableId::definition, 3, "v")}).outcome, Outcome::durable);
  store.reset();
  store = open_sqlite(path_);
  EXPECT_EQ(store->read(TableId::definition, {2, ""}), nullptr);
  EXPECT_NE(store->read(TableId::definition, {3, ""}), nullptr);
}

TEST_F(SqliteStoreTest, readers_in_many_threads_see_whole_batches) {
  auto store = open_sqlite(path_);
  constexpr std::uint64_t rows = 50;
  std::atomic<bool> stop = false;
  std::atomic<int> torn = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2 * sqlite::readers_max; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        auto page = store->scan(TableId::definition, nullptr, rows);
        if (page.empty()) continue;
        if (page.size() != rows || page.front().value != page.back().value) ++torn;
        if (!store->read(TableId::definition, page.front().key)) ++torn;
      }
    });
  }
  for (int n = 0; n < 200; ++n) {
    std::vector<state::Write> batch;
    for (std::uint64_t row = 0; row < rows; ++row) batch.push_back(put(TableId::definition, row, fmt::format("{}", n)));
    EXPECT_EQ(write_and_wait(*store, std::move(batch)).outcome, Outcome::durable);
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
}

TEST_F(SqliteStoreTest, closing_finishes_the_batch_in_flight) {
  std::atomic<int> answered = 0;
  for (std::uint64_t n = 0; n < 20; ++n) {
    auto store = open_sqlite(path_);
    store->write({numbered_batch(n, 10, 100)}, [&](WriteResult r) { answered += r.outcome == Outcome::durable; });
    store.reset();
    EXPECT_EQ(answered, int(n) + 1);
  }
  EXPECT_EQ(whole_batches(*open_sqlite(path_), 10).size(), 20u);
}

TEST_F(SqliteStoreTest, the_next_batch_may_be_given_inside_done) {
  auto store = open_sqlite(path_);
  constexpr std::uint64_t batches = 100;
  std::promise<void> finished;
  std::function<void(std::uint64_t)> next = [&](std::uint64_t n) {
    store->write({numbered_batch(n, 3, 100)}, [&, n](WriteResult) {
      if (n + 1 < batches) {
        next(n + 1);
      } else {
        finished.set_value();
      }
    });
  };
  next(0);
  ASSERT_EQ(finished.get_future().wait_for(write_deadline), std::future_status::ready);
  EXPECT_EQ(whole_batches(*store, 3).size(), batches);
}

}  // namespace
}  // namespace gantry::store
