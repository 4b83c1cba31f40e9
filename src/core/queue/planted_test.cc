// Every bug that can be planted in the queue shows: in check_state(), or in what a client sees.
#include "base/planted.h"

#include <gtest/gtest.h>

#include "core/queue/events.h"
#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::Change;
using state::Priority;
using state::ReasonResolved;
using testing_world::QueueWorld;

struct PlantedTest : testing::Test, QueueWorld {
  ~PlantedTest() override { planted_bug = PlantedBug::none; }
  std::string problem() const { return state::check_state(state).value_or(""); }
};

TEST_F(PlantedTest, ReleaseOnlyFirstDependent) {
  planted_bug = PlantedBug::release_only_first_dependent;
  TaskId first = create();
  create({.dependencies = {first}});
  create({.dependencies = {first}});
  resolve(first);
  EXPECT_NE(problem().find("still waits for"), std::string::npos);
}

TEST_F(PlantedTest, MetBitLostOnRerun) {
  planted_bug = PlantedBug::met_bit_lost_on_rerun;
  TaskId first = create();
  TaskId second = create({.group = first});
  TaskId last = create({.dependencies = {first, second}, .group = first});
  resolve(first);
  ASSERT_TRUE(rerun(first));
  resolve(first, ReasonResolved::failed);
  resolve(second);
  EXPECT_EQ(runs(last), "") << "it should be pending";
}

TEST_F(PlantedTest, GroupResolvedEarly) {
  planted_bug = PlantedBug::group_resolved_early;
  TaskId first = create();
  create({.group = first});
  resolve(first);
  EXPECT_TRUE(changed(Change::Kind::group_resolved));
}

TEST_F(PlantedTest, PullForgottenAfterRestart) {
  planted_bug = PlantedBug::pull_forgotten_after_restart;
  TaskId first = create();
  state::Task task = this->task(first);
  task.pulled = Priority::high;
  EXPECT_EQ(state::decode_task(1, encode(task)).value().pulled, Priority::lowest);
}

TEST_F(PlantedTest, RerunKeepsRetries) {
  planted_bug = PlantedBug::rerun_keeps_retries;
  TaskId id = create({.retries = 1});
  resolve(id, ReasonResolved::worker_shutdown);
  resolve(id, ReasonResolved::failed);
  ASSERT_TRUE(rerun(id));
  EXPECT_NE(problem().find("retries left"), std::string::npos);
}

TEST_F(PlantedTest, FailureReleases) {
  planted_bug = PlantedBug::failure_releases;
  TaskId first = create();
  TaskId second = create({.dependencies = {first}});
  resolve(first, ReasonResolved::failed);
  EXPECT_EQ(runs(second), "pending scheduled");
}

TEST_F(PlantedTest, ClaimTokenIgnored) {
  planted_bug = PlantedBug::claim_token_ignored;
  create();
  create();
  auto claim_again = [&] {
    state::Transaction tx(state, now);
    auto claims = queue::claim(tx, {"prov/queue", "group", "worker", 1, {}, "token"});
    finish(tx);
    return claims.at(0).task;
  };
  TaskId first = claim_again();
  EXPECT_NE(claim_again(), first);
}

TEST_F(PlantedTest, SealedGroupTakesTasks) {
  planted_bug = PlantedBug::sealed_group_takes_tasks;
  TaskId root = create();
  ASSERT_TRUE(decide([&](state::Transaction& tx) { return seal_group(tx, root); }));
  TaskId late = create({.group = root});
  EXPECT_EQ(task(late).group, root);
}

TEST_F(PlantedTest, GroupRootForgotten) {
  planted_bug = PlantedBug::group_root_forgotten;
  TaskId root = create();
  resolve(create({.group = root}));
  EXPECT_TRUE(changed(Change::Kind::group_resolved));
}

TEST_F(PlantedTest, WorkStopsAtFirstStep) {
  planted_bug = PlantedBug::work_stops_at_first_step;
  TaskId root = create();
  for (int i = 0; i < 120; ++i) create({.group = root});
  ASSERT_TRUE(decide([&](state::Transaction& tx) { return seal_group(tx, root); }));
  ASSERT_TRUE(decide([&](state::Transaction& tx) { return cancel_group(tx, root); }));
  EXPECT_EQ(work(), 0);
  EXPECT_FALSE(open_tasks(state, root).empty());
}

TEST_F(PlantedTest, MetBitsNotStored) {
  planted_bug = PlantedBug::met_bits_not_stored;
  TaskId first = create();
  TaskId last = create({.dependencies = {first, create()}});
  resolve(first);
  ASSERT_EQ(task(last).waits->left, 1u);
  EXPECT_EQ(state::decode_task(1, encode(task(last))).value().waits->left, 2u);
}

TEST_F(PlantedTest, RetryReleases) {
  planted_bug = PlantedBug::retry_releases;
  TaskId first = create({.retries = 1});
  TaskId second = create({.dependencies = {first}, .any_outcome = true});
  resolve(first, ReasonResolved::worker_shutdown);
  EXPECT_EQ(runs(second), "pending scheduled");
}

TEST_F(PlantedTest, EventsOfOneTask) {
  planted_bug = PlantedBug::events_of_one_task;
  TaskId first = create();
  create({.dependencies = {first}, .any_outcome = true});
  state::Transaction tx(state, now);
  ASSERT_TRUE(queue::cancel(tx, first));  // which releases the other
  std::vector<EventRow> rows;
  add_event_rows(tx, rows);
  EXPECT_EQ(rows.size(), 1u);
  finish(tx);
}

}  // namespace
}  // namespace gantry::queue
