#include "store/memory/memory_store.h"

#include <deque>

#include <gtest/gtest.h>

namespace gantry::store {
namespace {

using state::TableId;

class MemoryStoreTest : public testing::Test {
 protected:
  std::unique_ptr<MemoryStore> open() {
    return std::make_unique<MemoryStore>(disk_, [this](auto work) { scheduled_.push_back(std::move(work)); });
  }
  void run_scheduled() {
    while (!scheduled_.empty()) {
      auto next = std::move(scheduled_.front());
      scheduled_.pop_front();
      next();
    }
  }
  /// A batch of two rows; its outcome goes to outcomes_.
  void write(MemoryStore& store, std::uint64_t first) {
    Batch batch;
    for (auto key : {first, first + 1}) {
      batch.writes.push_back({TableId::definition, {key, ""}, std::make_shared<const std::string>("v")});
    }
    store.write(std::move(batch), [this](WriteResult result) { outcomes_.push_back(result.outcome); });
  }

  std::shared_ptr<MemoryStore::Disk> disk_ = std::make_shared<MemoryStore::Disk>();
  std::deque<std::move_only_function<void()>> scheduled_;
  std::vector<Outcome> outcomes_;
};

TEST_F(MemoryStoreTest, nothing_is_durable_before_the_schedule_says_so) {
  auto store = open();
  write(*store, 1);
  EXPECT_TRUE(store->in_flight());
  EXPECT_EQ(store->read(TableId::definition, {1, ""}), nullptr);
  EXPECT_TRUE(outcomes_.empty());
  run_scheduled();
  EXPECT_FALSE(store->in_flight());
  EXPECT_NE(store->read(TableId::definition, {1, ""}), nullptr);
  EXPECT_EQ(outcomes_, std::vector{Outcome::durable});
}

TEST_F(MemoryStoreTest, a_crash_keeps_or_drops_the_batch_in_flight_as_a_whole) {
  for (bool survives : {false, true}) {
    auto store = open();
    auto before = disk_->rows();
    write(*store, survives ? 10 : 20);
    store->crash(survives);
    run_scheduled();
    EXPECT_TRUE(outcomes_.empty()) << "a dead process was answered";
    EXPECT_EQ(disk_->rows(), before + (survives ? 2 : 0));
    EXPECT_THROW(store->read(TableId::definition, {1, ""}), Error);
    write(*store, 30);
    EXPECT_TRUE(scheduled_.empty());
    EXPECT_EQ(open()->scan(TableId::definition, nullptr, 10).size(), disk_->rows());
  }
}

TEST_F(MemoryStoreTest, a_store_that_is_gone_completes_nothing) {
  auto store = open();
  write(*store, 1);
  store.reset();
  run_scheduled();
  EXPECT_EQ(disk_->rows(), 0u);
  EXPECT_TRUE(outcomes_.empty());
}

TEST_F(MemoryStoreTest, a_failed_write_leaves_nothing_and_the_next_one_works) {
  auto store = open();
  store->fail_next(Outcome::failed);
  write(*store, 1);
  run_scheduled();
  EXPECT_EQ(disk_->rows(), 0u);
  write(*store, 1);
  run_scheduled();
  EXPECT_EQ(disk_->rows(), 2u);
  EXPECT_EQ(outcomes_, (std::vector{Outcome::failed, Outcome::durable}));
}

TEST_F(MemoryStoreTest, after_an_unknown_write_nothing_is_written_until_it_is_opened_again) {
  for (bool survives : {false, true}) {
    outcomes_.clear();
    auto before = disk_->rows();
    auto store = open();
    store->fail_next(Outcome::unknown, survives);
    write(*store, survives ? 10 : 20);
    run_scheduled();
    write(*store, 30);
    run_scheduled();
    EXPECT_EQ(outcomes_, (std::vector{Outcome::unknown, Outcome::failed}));
    EXPECT_EQ(disk_->rows(), before + (survives ? 2 : 0));
    store.reset();
    store = open();
    write(*store, survives ? 40 : 50);
    run_scheduled();
    EXPECT_EQ(outcomes_.back(), Outcome::durable);
  }
}

TEST_F(MemoryStoreTest, a_disk_has_one_store_at_a_time) {
  auto store = open();
  EXPECT_THROW(open(), Error);
  store->crash(false);
  EXPECT_NO_THROW(open());
}

TEST_F(MemoryStoreTest, the_next_write_may_be_asked_for_inside_done) {
  auto store = open();
  store->write({}, [&](WriteResult) { write(*store, 1); });
  run_scheduled();
  EXPECT_EQ(disk_->rows(), 2u);
}

}  // namespace
}  // namespace gantry::store
