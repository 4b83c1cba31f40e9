// Every bug that can be planted in the queue shows: in check_state(), or in what a client sees.
#include "base/planted.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gantry::queue
