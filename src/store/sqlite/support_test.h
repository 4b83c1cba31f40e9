// What the tests of the SQLite store share.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "store/sqlite/sqlite_store.h"

namespace gantry::store {

/// A directory that goes away with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    auto pattern = (std::filesystem::temp_directory_path() / "gantry-store-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name = "store.db") const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline state::Value value(std::string text) { return std::make_shared<const std::string>(std::move(text)); }

inline state::Write put(state::TableId table, std::uint64_t sequence, std::string text) {
  return {table, {sequence, ""}, value(std::move(text))};
}

inline constexpr std::chrono::seconds write_deadline{60};

/// Writes and waits for the outcome.
inline WriteResult write_and_wait(Store& store, std::vector<state::Write> writes) {
  auto promise = std::make_shared<std::promise<WriteResult>>();
  auto result = promise->get_future();
  store.write({std::move(writes)}, [promise](WriteResult r) { promise->set_value(std::move(r)); });
  if (result.wait_for(write_deadline) != std::future_status::ready) {
    return {Outcome::unknown, "the store did not answer"};
  }
  return result.get();
}

/// Batch `number`: so many rows of one size under ascending keys, all with the number in front.
inline std::vector<state::Write> numbered_batch(std::uint64_t number, std::uint64_t rows, std::size_t row_bytes) {
  std::vector<state::Write> writes;
  for (std::uint64_t row = 0; row < rows; ++row) {
    auto text = fmt::format("{} ", number);
    text.resize(std::max(row_bytes, text.size()), 'x');
    writes.push_back(put(state::TableId::definition, number * rows + row, std::move(text)));
  }
  return writes;
}

/// The numbers of the batches in the store; fails the test if one is there in part.
inline std::set<std::uint64_t> whole_batches(Store& store, std::uint64_t rows) {
  std::map<std::uint64_t, std::uint64_t> found;
  std::optional<state::Key> last;
  while (true) {
    auto page = store.scan(state::TableId::definition, last ? &*last : nullptr, 1000);
    if (page.empty()) break;
    for (const auto& entry : page) {
      EXPECT_TRUE(entry.value.starts_with(fmt::format("{} ", entry.key.sequence / rows)));
      ++found[entry.key.sequence / rows];
    }
    last = page.back().key;
  }
  std::set<std::uint64_t> numbers;
  for (auto [number, count] : found) {
    EXPECT_EQ(count, rows) << "batch " << number << " is there in part";
    numbers.insert(number);
  }
  return numbers;
}

/// What opening the file throws; fails the test if it does not.
inline Error open_error(const std::string& path, SqliteOptions options = {}) {
  try {
    open_sqlite(path, std::move(options));
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << path << " could be opened";
  return Error(ErrorCode::internal, "");
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace gantry::store
