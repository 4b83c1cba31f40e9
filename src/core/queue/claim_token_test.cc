// A claim that is asked for again by its token, and claims of one run.
#include <gtest/gtest.h>

#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::ReasonResolved;
using testing_world::numbered_id;
using testing_world::QueueWorld;
using Ids = std::vector<TaskId>;

struct ClaimTokenTest : testing::Test, QueueWorld {
  ~ClaimTokenTest() override { EXPECT_EQ(state::check_state(state), std::nullopt); }

  std::vector<Claim> claim_as(const std::string& token, int tasks_max = 1, const std::string& worker = "worker",
                              const std::string& queue = "prov/queue") {
    state::Transaction tx(state, now);
    auto claims = queue::claim(tx, {queue, "group", worker, tasks_max, {}, token});
    finish(tx);
    return claims;
  }
  static Ids ids(const std::vector<Claim>& claims) {
    Ids found;
    for (const Claim& claim : claims) found.push_back(claim.task);
    return found;
  }
  Result<Claim> take(TaskId id, int run, const std::string& worker = "worker", NodeId node = {}) {
    return decide([&](state::Transaction& tx) { return claim_run(tx, id, run, {"", "group", worker, 1, node}); });
  }
};

template <class T>
ErrorCode code_of(const Result<T>& result) {
  EXPECT_FALSE(result);
  return result ? ErrorCode::internal : result.error().code();
}

TEST_F(ClaimTokenTest, TheSameTokenGetsTheSameClaims) {
  TaskId a = create();
  TaskId b = create();
  TaskId c = create();
  EXPECT_EQ(ids(claim_as("one", 2)), (Ids{a, b}));
  EXPECT_EQ(ids(claim_as("one", 2)), (Ids{a, b}));
  EXPECT_EQ(ids(claim_as("two", 2)), Ids{c});
  EXPECT_EQ(ids(claim_as("one", 1)), (Ids{a, b})) << "all of them, whatever is asked for now";
  ASSERT_TRUE(report(a, 0, ReasonResolved::completed));
  EXPECT_EQ(ids(claim_as("one", 2)), Ids{b}) << "what still runs";
}

TEST_F(ClaimTokenTest, AnotherWorkerQueueOrNoTokenGetsNewOnes) {
  TaskId a = create();
  TaskId b = create();
  TaskId c = create();
  TaskId other = create({.queue = "prov/other"});
  EXPECT_EQ(ids(claim_as("one")), Ids{a});
  EXPECT_EQ(ids(claim_as("one", 1, "worker", "prov/other")), Ids{other});
  EXPECT_EQ(ids(claim_as("one", 1, "somebody")), Ids{b});
  EXPECT_EQ(ids(claim_as("")), Ids{c});
}

TEST_F(ClaimTokenTest, UndoingOneAnswerLeavesTheOtherAlone) {
  TaskId id = create();
  Claim first = claim_as("one")[0];
  Claim second = claim_as("one")[0];
  EXPECT_GT(second.taken_until, first.taken_until);
  unclaim(first);
  EXPECT_EQ(runs(id), "running scheduled");
  // The first answer may have arrived: only the worker itself, or time, ends this claim.
  unclaim(second);
  EXPECT_EQ(runs(id), "running scheduled");
  EXPECT_EQ(ids(claim_as("one")), Ids{id});
}

TEST_F(ClaimTokenTest, ATokenWhoseRunsHaveEndedClaimsAnew) {
  TaskId a = create();
  claim_as("one");
  ASSERT_TRUE(report(a, 0, ReasonResolved::completed));
  TaskId b = create();
  EXPECT_EQ(ids(claim_as("one")), Ids{b});
}

TEST_F(ClaimTokenTest, OneRunIsClaimedOnceAndByTheSameWorkerAgain) {
  TaskId id = create();
  Claim claimed = take(id, 0).value();
  EXPECT_EQ(claimed.taken_until, now + claim_term);
  now += minutes(1);
  EXPECT_EQ(take(id, 0).value().taken_until, claimed.taken_until);
  EXPECT_TRUE(changes.empty());
  EXPECT_EQ(code_of(take(id, 0, "another")), ErrorCode::conflict);
  EXPECT_EQ(code_of(take(id, 1)), ErrorCode::not_found);
  EXPECT_EQ(code_of(take(numbered_id<TaskTag>(99), 0)), ErrorCode::not_found);
  ASSERT_TRUE(report(id, 0, ReasonResolved::completed));
  EXPECT_EQ(code_of(take(id, 0)), ErrorCode::conflict);
}

TEST_F(ClaimTokenTest, OneRunIsNotClaimedAfterTheDeadline) {
  TaskId id = create({.deadline = minutes(1)});
  now += minutes(1) - Duration(1);
  TaskId in_time = create({.deadline = Duration(1)});
  EXPECT_TRUE(take(in_time, 0));
  now += Duration(1);
  EXPECT_EQ(code_of(take(id, 0)), ErrorCode::conflict);
}

TEST_F(ClaimTokenTest, OneRunMustFitOntoTheNode) {
  NodeId node = add_node(1, 1000);
  TaskId large = create({.memory_bytes = 1001});
  TaskId fitting = create({.memory_bytes = 1000});
  EXPECT_EQ(code_of(take(large, 0, "worker", node)), ErrorCode::conflict);
  EXPECT_TRUE(take(fitting, 0, "worker", node));
  EXPECT_EQ(code_of(take(create(), 0, "worker", node)), ErrorCode::conflict) << "no slot is left";
}

}  // namespace
}  // namespace gantry::queue
