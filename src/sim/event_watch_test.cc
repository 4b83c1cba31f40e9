#include "sim/event_watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "store/memory/memory_store.h"

namespace gantry::sim {
namespace {

/// A log that is written row by row.
struct EventWatchTest : testing::Test {
  const std::string group = "fN1SbArXTPSVFNUvaOlinQ";
  const std::string task = "VjG3f5GpTXyXp8QzRCFd0Q";
  std::string failure;
  Oracle oracle{[](const std::string&) {}};
  EventWatch watch{oracle, [this](std::string what) {
                     if (failure.empty()) failure = std::move(what);
                   }};
  store::MemoryStore store{std::make_shared<store::MemoryStore::Disk>(),
                           [](std::move_only_function<void()> work) { work(); }};
  std::uint64_t number = 0;

  void told(std::string_view id, std::string_view state, std::string_view runs, std::string_view events) {
    std::string row = fmt::format(
        R"({{"v":1,"at":1,"events":[{}],"status":{{"taskId":"{}","taskGroupId":"{}","state":"{}","runs":[{}]}}}})",
        events, id, group, state, runs);
    store::Batch batch;
    batch.writes.push_back({state::TableId::outbox, {++number, {}}, std::make_shared<const std::string>(row)});
    store.write(std::move(batch), [](store::WriteResult) {});
    watch.read(store);
  }
  void is_created(std::string_view id) {
    told(id, "pending", R"({"state":"pending"})", R"({"kind":"task-defined"},{"kind":"task-pending","runId":0})");
  }
  void runs(std::string_view id) {
    told(id, "running", R"({"state":"running"})", R"({"kind":"task-running","runId":0})");
  }
  void completes(std::string_view id, std::string_view more = "") {
    told(id, "completed", R"({"state":"completed"})", fmt::format(R"({{"kind":"task-completed","runId":0}}{})", more));
  }
  static constexpr std::string_view group_resolved = R"(,{"kind":"task-group-resolved"})";
};

TEST_F(EventWatchTest, AGroupFromItsBeginToItsEnd) {
  is_created(group);
  is_created(task);
  runs(group);
  runs(task);
  completes(group);
  completes(task, group_resolved);
  told(task, "pending", R"({"state":"completed"},{"state":"pending"})", R"({"kind":"task-pending","runId":1})");
  told(task, "exception", R"({"state":"completed"},{"state":"exception"})",
       R"({"kind":"task-exception","runId":1},{"kind":"task-group-resolved"})");
  EXPECT_EQ(failure, "");
  EXPECT_EQ(watch.events(), 12u);
}

TEST_F(EventWatchTest, AGroupThatIsResolvedTooEarly) {
  is_created(group);
  is_created(task);
  runs(task);
  completes(task, group_resolved);
  EXPECT_NE(failure.find("1 of its tasks are open"), std::string::npos) << failure;
}

TEST_F(EventWatchTest, AGroupThatIsResolvedTwice) {
  is_created(task);
  runs(task);
  completes(task, R"(,{"kind":"task-group-resolved"},{"kind":"task-group-resolved"})");
  EXPECT_NE(failure.find("nothing has happened in it"), std::string::npos) << failure;
}

TEST_F(EventWatchTest, AnEndThatIsNotTold) {
  is_created(task);
  told(task, "pending", R"({"state":"exception"},{"state":"pending"})", R"({"kind":"task-pending","runId":1})");
  EXPECT_NE(failure.find("was not told"), std::string::npos) << failure;
}

TEST_F(EventWatchTest, AnEndThatIsToldTwice) {
  is_created(task);
  runs(task);
  completes(task, group_resolved);
  completes(task);
  EXPECT_NE(failure.find("was told already"), std::string::npos) << failure;
}

TEST_F(EventWatchTest, AClaimThatIsUndoneIsNoMistake) {
  is_created(task);
  runs(task);
  told(task, "pending", R"({"state":"pending"})", R"({"kind":"task-pending","runId":0})");
  runs(task);
  EXPECT_EQ(failure, "");
}

}  // namespace
}  // namespace gantry::sim
