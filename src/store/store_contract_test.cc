// What every store must do; each implementation runs all of it.
#include <deque>
#include <limits>
#include <map>

#include "store/memory/memory_store.h"
#include "store/sqlite/support_test.h"

namespace gantry::store {
namespace {

using state::Key;
using state::KeyShape;
using state::TableId;
using state::Write;

/// A store and what it takes to open it again on the same data.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Store& store() = 0;
  virtual WriteResult write(std::vector<Write> writes) = 0;
  virtual void reopen() = 0;
};

class MemorySubject : public Subject {
 public:
  MemorySubject() { open(); }
  Store& store() override { return *store_; }
  WriteResult write(std::vector<Write> writes) override {
    std::optional<WriteResult> result;
    store_->write({std::move(writes)}, [&](WriteResult r) { result = std::move(r); });
    EXPECT_FALSE(result) << "answered inside write()";
    while (!scheduled_.empty()) {
      auto next = std::move(scheduled_.front());
      scheduled_.pop_front();
      next();
    }
    return result.value();
  }
  void reopen() override {
    store_.reset();
    open();
  }

 private:
  void open() {
    store_ = std::make_unique<MemoryStore>(disk_, [this](auto work) { scheduled_.push_back(std::move(work)); });
  }
  std::shared_ptr<MemoryStore::Disk> disk_ = std::make_shared<MemoryStore::Disk>();
  std::deque<std::move_only_function<void()>> scheduled_;
  std::unique_ptr<MemoryStore> store_;
};

class SqliteSubject : public Subject {
 public:
  SqliteSubject() : store_(open_sqlite(directory_.file())) {}
  Store& store() override { return *store_; }
  WriteResult write(std::vector<Write> writes) override { return write_and_wait(*store_, std::move(writes)); }
  void reopen() override {
    store_.reset();
    store_ = open_sqlite(directory_.file());
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<SqliteStore> store_;
};

constexpr TableId by_sequence = TableId::definition;
constexpr TableId by_sequence_and_name = TableId::artifact;
constexpr TableId by_name = TableId::role;
constexpr std::uint64_t sequence_max = std::numeric_limits<std::int64_t>::max();

class StoreContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view(GetParam()) == "memory") {
      subject_ = std::make_unique<MemorySubject>();
    } else {
      subject_ = std::make_unique<SqliteSubject>();
    }
  }

  Store& store() { return subject_->store(); }
  void write(std::vector<Write> writes) {
    auto result = subject_->write(std::move(writes));
    ASSERT_EQ(result.outcome, Outcome::durable) << result.message;
  }
  std::string text(TableId table, const Key& key) {
    auto found = store().read(table, key);
    return found ? *found : "(nothing)";
  }
  /// The whole table, in pages of `limit`.
  std::vector<std::pair<Key, std::string>> contents(TableId table, std::size_t limit) {
    std::vector<std::pair<Key, std::string>> all;
    std::optional<Key> last;
    while (true) {
      auto page = store().scan(table, last ? &*last : nullptr, limit);
      EXPECT_LE(page.size(), limit);
      if (page.empty()) return all;
      for (auto& entry : page) all.emplace_back(entry.key, entry.value);
      last = all.back().first;
    }
  }
  /// Writes the rows in two batches and in reverse, then expects them in order, whatever the page.
  void expect_in_order(TableId table, const std::map<Key, std::string>& rows) {
    std::vector<Write> first, second;
    for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
      (first.size() > second.size() ? second : first).push_back({table, row->first, value(row->second)});
    }
    write(std::move(first));
    write(std::move(second));
    std::vector<std::pair<Key, std::string>> expected(rows.begin(), rows.end());
    for (std::size_t limit : {1, 2, 3, 1000}) EXPECT_EQ(contents(table, limit), expected) << "pages of " << limit;
    subject_->reopen();
    EXPECT_EQ(contents(table, 2), expected) << "after a restart";
    for (const auto& [key, written] : rows) EXPECT_EQ(text(table, key), written);
  }

  std::unique_ptr<Subject> subject_;
};

const std::vector<std::string>& awkward_names() {
  using namespace std::string_literals;
  static const std::vector<std::string> names = {"",
                                                 "\0"s,
                                                 "\0\0"s,
                                                 "a",
                                                 "a\0"s,
                                                 "a\0b"s,
                                                 "aa",
                                                 "b",
                                                 "A",
                                                 "0/public/log.txt",
                                                 "it's \"quoted\"; DROP TABLE x--",
                                                 "%",
                                                 "\xc3\xa9t\xc3\xa9",
                                                 "\xe6\x97\xa5\xe6\x9c\xac",
                                                 "\xf0\x9f\x90\x98",
                                                 "\xff\xfe not UTF-8",
                                                 "line\nbreak"};
  return names;
}

TEST_P(StoreContract, an_empty_store_has_nothing) {
  EXPECT_EQ(store().read(by_sequence, {1, ""}), nullptr);
  EXPECT_EQ(store().read(by_name, {0, "x"}), nullptr);
  for (const auto& table : state::tables) EXPECT_TRUE(store().scan(table.id, nullptr, 10).empty());
}

TEST_P(StoreContract, puts_overwrite_and_erases_remove) {
  write({{by_sequence, {7, ""}, value("one")},
         {by_name, {0, "n"}, value("two")},
         {by_sequence_and_name, {7, "n"}, value("three")}});
  EXPECT_EQ(text(by_sequence, {7, ""}), "one");
  EXPECT_EQ(text(by_name, {0, "n"}), "two");
  EXPECT_EQ(text(by_sequence_and_name, {7, "n"}), "three");
  write({{by_sequence, {7, ""}, value("ONE")},
         {by_name, {0, "n"}, value("a longer two")},
         {by_sequence_and_name, {7, "n"}, nullptr}});
  EXPECT_EQ(text(by_sequence, {7, ""}), "ONE");
  EXPECT_EQ(text(by_name, {0, "n"}), "a longer two");
  EXPECT_EQ(text(by_sequence_and_name, {7, "n"}), "(nothing)");
}

TEST_P(StoreContract, erasing_what_is_not_there_is_fine) {
  write({{by_sequence, {7, ""}, nullptr}, {by_name, {0, "n"}, nullptr}, {by_sequence_and_name, {7, "n"}, nullptr}});
  EXPECT_TRUE(store().scan(by_sequence, nullptr, 1).empty());
}

TEST_P(StoreContract, writes_of_one_batch_apply_in_order) {
  write({{by_name, {0, "n"}, value("first")}, {by_name, {0, "n"}, nullptr}, {by_name, {0, "n"}, value("last")}});
  EXPECT_EQ(text(by_name, {0, "n"}), "last");
  write({{by_name, {0, "n"}, value("again")}, {by_name, {0, "n"}, nullptr}});
  EXPECT_EQ(text(by_name, {0, "n"}), "(nothing)");
}

TEST_P(StoreContract, an_empty_batch_is_durable) {
  write({});
  write({{by_name, {0, "n"}, value("v")}});
  write({});
  EXPECT_EQ(text(by_name, {0, "n"}), "v");
}

TEST_P(StoreContract, tables_do_not_mix) {
  for (const auto& table : state::tables)
    write({{table.id,
            {table.shape == KeyShape::by_name ? 0u : 1u, table.shape == KeyShape::by_sequence ? "" : "k"},
            value(table.name)}});
  for (const auto& table : state::tables) {
    auto all = contents(table.id, 10);
    ASSERT_EQ(all.size(), 1u) << table.name;
    EXPECT_EQ(all[0].second, table.name);
  }
}

TEST_P(StoreContract, sequences_are_in_numeric_order) {
  std::map<Key, std::string> rows;
  for (std::uint64_t sequence : {std::uint64_t(0), std::uint64_t(1), std::uint64_t(2), std::uint64_t(9),
                                 std::uint64_t(10), std::uint64_t(1) << 32, sequence_max - 1, sequence_max}) {
    rows[{sequence, ""}] = fmt::format("row {}", sequence);
  }
  expect_in_order(by_sequence, rows);
}

TEST_P(StoreContract, names_are_in_the_order_of_their_bytes) {
  std::map<Key, std::string> rows;
  for (const auto& name : awkward_names()) rows[{0, name}] = "value of " + name;
  expect_in_order(by_name, rows);
}

TEST_P(StoreContract, pairs_are_in_order) {
  std::map<Key, std::string> rows;
  for (std::uint64_t sequence : {std::uint64_t(0), std::uint64_t(3), sequence_max}) {
    for (const auto& name : awkward_names()) rows[{sequence, name}] = fmt::format("{} of {}", name, sequence);
  }
  expect_in_order(by_sequence_and_name, rows);
}

TEST_P(StoreContract, a_scan_goes_on_after_a_key_that_is_gone) {
  std::vector<Write> writes;
  for (std::uint64_t n = 0; n < 10; ++n) writes.push_back(put(by_sequence, n, "v"));
  write(std::move(writes));
  Key last = store().scan(by_sequence, nullptr, 4).back().key;
  EXPECT_EQ(last.sequence, 3u);
  write({{by_sequence, {3, ""}, nullptr}, {by_sequence, {4, ""}, nullptr}});
  EXPECT_EQ(store().scan(by_sequence, &last, 1).at(0).key.sequence, 5u);
}

TEST_P(StoreContract, long_tables_are_scanned_whole) {
  constexpr std::uint64_t count = 5000;
  std::vector<Write> writes;
  for (std::uint64_t n = 0; n < count; ++n)
    writes.push_back({by_sequence_and_name, {n / 3, fmt::format("{}", n)}, value("v")});
  write(std::move(writes));
  EXPECT_EQ(store().scan(by_sequence_and_name, nullptr, 100'000).size(), count);
  EXPECT_EQ(store().scan(by_sequence_and_name, nullptr, count - 1).size(), count - 1);
  EXPECT_EQ(contents(by_sequence_and_name, 999).size(), count);
  EXPECT_TRUE(store().scan(by_sequence_and_name, nullptr, 0).empty());
}

TEST_P(StoreContract, values_are_bytes_of_any_length) {
  std::string big(1 << 20, '\0');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7 + i / 251);
  write({{by_sequence, {1, ""}, value(big)},
         {by_name, {0, "big"}, value(big)},
         {by_sequence_and_name, {1, "big"}, value(big)},
         {by_sequence, {2, ""}, value("")}});
  EXPECT_EQ(text(by_sequence, {1, ""}), big);
  EXPECT_EQ(text(by_name, {0, "big"}), big);
  EXPECT_EQ(text(by_sequence_and_name, {1, "big"}), big);
  ASSERT_NE(store().read(by_sequence, {2, ""}), nullptr) << "an empty value is not an erase";
  EXPECT_EQ(text(by_sequence, {2, ""}), "");
  EXPECT_EQ(store().scan(by_sequence, nullptr, 2).at(0).value, big);
}

TEST_P(StoreContract, everything_is_there_after_a_restart) {
  for (std::uint64_t n = 0; n < 20; ++n) write(numbered_batch(n, 10, 300));
  subject_->reopen();
  EXPECT_EQ(whole_batches(store(), 10).size(), 20u);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract, testing::Values("memory", "sqlite"),
                         [](const auto& where) { return std::string(where.param); });

}  // namespace
}  // namespace gantry::store
