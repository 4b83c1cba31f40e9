// The state machine of a task (taskcluster.md 2.5): what each event does in each state.
#include <gtest/gtest.h>

#include "core/state/check.h"
#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::Change;
using state::Priority;
using state::ReasonResolved;
using testing_world::numbered_id;
using testing_world::QueueWorld;
using testing_world::TaskOptions;

using Ids = std::vector<TaskId>;

struct QueueTest : testing::Test, QueueWorld {
  std::size_t allocations() const { return state.table<state::Allocation>().size(); }
  TaskId create_running(const TaskOptions& options = {}) {
    TaskId id = create(options);
    EXPECT_EQ(claimed_ids(1), Ids{id});
    return id;
  }
};

template <class T>
void conflicts(const Result<T>& result) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::conflict) << result.error().message();
}

TEST_F(QueueTest, ANewTaskIsPending) {
  TaskId id = create();
  EXPECT_EQ(runs(id), "pending scheduled");
  EXPECT_EQ(task(id).retries_left, 5);
  EXPECT_TRUE(changed(Change::Kind::task_defined));
  EXPECT_TRUE(changed(Change::Kind::task_pending));
}

TEST_F(QueueTest, CreatingAgainIsFineWithTheSameDefinitionOnly) {
  TaskId id = create();
  std::string before = testing_world::dump(state);
  EXPECT_TRUE(try_create(id, definition({})));
  EXPECT_TRUE(changes.empty());
  conflicts(try_create(id, definition({.content = 1})));
  EXPECT_EQ(testing_world::dump(state), before);
}

TEST_F(QueueTest, CreatingAgainIsFineHoweverLateItIs) {
  auto made = definition({});
  ASSERT_TRUE(try_create(numbered_id<TaskTag>(1), made));
  now += hours(3);
  EXPECT_TRUE(try_create(numbered_id<TaskTag>(1), made));
}

TEST_F(QueueTest, CreationIsWithin15MinutesAndBeforeTheDeadline) {
  auto made = definition({});
  for (Duration skew : {created_skew_max, -created_skew_max}) {
    made.created = now + skew;
    EXPECT_TRUE(try_create(numbered_id<TaskTag>(++last_id), made));
  }
  for (Duration skew : {created_skew_max + Duration(1), -created_skew_max - Duration(1)}) {
    made.created = now + skew;
    auto result = try_create(numbered_id<TaskTag>(++last_id), made);
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message().find("created"), std::string::npos);
  }
  made.created = now;
  made.deadline = now;
  EXPECT_EQ(try_create(numbered_id<TaskTag>(++last_id), made).error().code(), ErrorCode::invalid_input);
}

TEST_F(QueueTest, ClaimsGoByPriorityThenByAge) {
  TaskId low = create({.priority = Priority::low});
  TaskId first = create({.priority = Priority::high});
  TaskId second = create({.priority = Priority::high});
  TaskId highest = create({.priority = Priority::highest});
  create({.queue = "prov/another"});
  EXPECT_EQ(claimed_ids(2), (Ids{highest, first}));
  EXPECT_EQ(claimed_ids(10), (Ids{second, low}));
  EXPECT_EQ(claimed_ids(10), Ids{});
}

TEST_F(QueueTest, AClaimTakesTheRunFor20Minutes) {
  TaskId id = create();
  auto claims = claim();
  ASSERT_EQ(claims.size(), 1u);
  EXPECT_EQ(claims[0].run, 0);
  EXPECT_EQ(claims[0].taken_until, now + minutes(20));
  EXPECT_EQ(runs(id), "running scheduled");
  EXPECT_EQ(task(id).runs[0].worker_id, "worker");
  EXPECT_EQ(allocations(), 1u);
  EXPECT_TRUE(changed(Change::Kind::task_running));
}

TEST_F(QueueTest, AResolvedRunKeepsTheEndOfItsClaimOutsideTheIndex) {
  TaskId id = create_running();
  Time until = task(id).runs[0].taken_until;
  EXPECT_EQ(state.claims().size(), 1u);
  EXPECT_TRUE(report(id, 0, ReasonResolved::worker_shutdown));
  EXPECT_EQ(task(id).runs[0].taken_until, until);
  EXPECT_EQ(task(id).runs[1].taken_until, Time()) << "the next run has no claim yet";
  EXPECT_TRUE(state.claims().empty());
  EXPECT_TRUE(cancel(id));
  EXPECT_EQ(task(id).runs[1].taken_until, Time());
  EXPECT_EQ(state::check_state(state), std::nullopt);
}

TEST_F(QueueTest, AClaimHasAtMost32Tasks) {
  for (int i = 0; i < 40; ++i) create();
  EXPECT_EQ(claim(1000).size(), 32u);
}

TEST_F(QueueTest, ATaskPastItsDeadlineIsNotGivenOut) {
  create({.deadline = minutes(1)});
  now += minutes(1);
  EXPECT_TRUE(claim().empty());
}

TEST_F(QueueTest, ANodeGetsWhatFitsIntoItsSlotsAndMemory) {
  NodeId node = add_node(2, 1000);
  TaskId a = create({.memory_bytes = 600});
  TaskId b = create({.memory_bytes = 600});
  TaskId c = create({.memory_bytes = 100});
  EXPECT_EQ(claimed_ids(5, node), Ids{a}) << "c must not overtake b";
  EXPECT_TRUE(report(a, 0, ReasonResolved::completed));
  EXPECT_EQ(claimed_ids(5, node), (Ids{b, c}));
  TaskId d = create();
  EXPECT_EQ(claimed_ids(5, node), Ids{}) << "no slot is left";
  EXPECT_TRUE(report(c, 0, ReasonResolved::failed));
  EXPECT_EQ(claimed_ids(5, node), Ids{d});
}

TEST_F(QueueTest, ATaskLargerThanTheNodeIsLeftToOthers) {
  NodeId small = add_node(2, 1000);
  NodeId large = add_node(2, 5000, "large");
  TaskId big = create({.memory_bytes = 2000});
  TaskId little = create({.memory_bytes = 10});
  EXPECT_EQ(claimed_ids(5, small), Ids{little});
  EXPECT_EQ(claimed_ids(5, large), Ids{big});
}

TEST_F(QueueTest, ReclaimProlongsARunningRun) {
  TaskId id = create_running();
  now += minutes(19);
  EXPECT_EQ(reclaim(id, 0).value(), now + minutes(20));
  now += minutes(19);
  expire();
  EXPECT_EQ(runs(id), "running scheduled");
  EXPECT_EQ(reclaim(id, 1).error().code(), ErrorCode::not_found);
  EXPECT_EQ(reclaim(numbered_id<TaskTag>(99), 0).error().code(), ErrorCode::not_found);
  EXPECT_TRUE(report(id, 0, ReasonResolved::completed));
  conflicts(reclaim(id, 0));
}

TEST_F(QueueTest, ReportsEndARunAndFreeItsAllocation) {
  for (auto [reason, text] :
       {std::pair(ReasonResolved::completed, "completed completed"), std::pair(ReasonResolved::failed, "failed failed"),
        std::pair(ReasonResolved::malformed_payload, "exception malformed-payload"),
        std::pair(ReasonResolved::resource_unavailable, "exception resource-unavailable"),
        std::pair(ReasonResolved::internal_error, "exception internal-error"),
        std::pair(ReasonResolved::superseded, "exception superseded")}) {
    TaskId id = create_running();
    EXPECT_TRUE(report(id, 0, reason));
    EXPECT_EQ(runs(id), text);
    EXPECT_EQ(allocations(), 0u);
    EXPECT_TRUE(changed(Change::Kind::task_resolved));
    EXPECT_FALSE(changed(Change::Kind::task_pending));
  }
}

TEST_F(QueueTest, AnEqualReportIsFineAContradictoryOneIsNot) {
  TaskId id = create_running();
  ASSERT_TRUE(report(id, 0, ReasonResolved::completed));
  EXPECT_TRUE(report(id, 0, ReasonResolved::completed));
  EXPECT_TRUE(changes.empty());
  conflicts(report(id, 0, ReasonResolved::failed));
  EXPECT_EQ(runs(id), "completed completed");
}

TEST_F(QueueTest, APendingRunCannotBeReported) {
  TaskId id = create();
  conflicts(report(id, 0, ReasonResolved::completed));
}

TEST_F(QueueTest, ALostWorkerCostsARetry) {
  TaskId id = create_running({.retries = 1});
  ASSERT_TRUE(report(id, 0, ReasonResolved::worker_shutdown));
  EXPECT_EQ(runs(id), "exception worker-shutdown, pending retry");
  EXPECT_EQ(task(id).retries_left, 0);
  EXPECT_TRUE(changed(Change::Kind::task_pending));
  EXPECT_TRUE(report(id, 0, ReasonResolved::worker_shutdown)) << "the same report again";
  EXPECT_EQ(claim().at(0).run, 1);
  ASSERT_TRUE(report(id, 1, ReasonResolved::worker_shutdown));
  EXPECT_EQ(runs(id), "exception worker-shutdown, exception worker-shutdown") << "no retries are left";
}

TEST_F(QueueTest, AnIntermittentTaskIsTriedAgain) {
  TaskId id = create_running();
  ASSERT_TRUE(report(id, 0, ReasonResolved::intermittent_task));
  EXPECT_EQ(runs(id), "exception intermittent-task, pending task-retry");
  EXPECT_EQ(task(id).retries_left, 4);
}

TEST_F(QueueTest, AClaimThatEndsIsRetried) {
  TaskId id = create_running();
  now += claim_term - Duration(1);
  expire();
  EXPECT_EQ(runs(id), "running scheduled");
  now += Duration(1);
  expire();
  EXPECT_EQ(runs(id), "exception claim-expired, pending retry");
  EXPECT_EQ(allocations(), 0u);
  conflicts(report(id, 0, ReasonResolved::completed));
}

TEST_F(QueueTest, AfterASilenceEveryLeaseGetsAFullTerm) {
  TaskId id = create_running({.deadline = hours(24)});
  now += hours(2);
  listening_since = now;
  now += claim_term - Duration(1);
  expire();
  EXPECT_EQ(runs(id), "running scheduled");
  now += Duration(1);
  expire();
  EXPECT_EQ(runs(id), "exception claim-expired, pending retry");
}

TEST_F(QueueTest, TheDeadlineEndsEverything) {
  NodeId node = add_node(1, 1000);
  TaskId running = create({.deadline = minutes(5)});
  EXPECT_EQ(claimed_ids(1, node), Ids{running});
  TaskId pending = create({.deadline = minutes(5)});
  TaskId later = create({.deadline = minutes(6)});
  now += minutes(5);
  state::Transaction tx(state, now);
  EXPECT_FALSE(expire_deadlines(tx));
  finish(tx);
  EXPECT_EQ(runs(running), "exception deadline-exceeded");
  EXPECT_EQ(runs(pending), "exception deadline-exceeded");
  EXPECT_EQ(runs(later), "pending scheduled");
  EXPECT_TRUE(changed(Change::Kind::allocation_lost)) << "the node must stop it";
  EXPECT_EQ(allocations(), 0u);
  EXPECT_EQ(task(running).retries_left, 5);
}

TEST_F(QueueTest, ManyDeadlinesTakeSeveralTransactions) {
  for (int i = 0; i < 150; ++i) create({.deadline = minutes(5)});
  now += minutes(5);
  int steps = 0;
  for (bool more = true; more; ++steps) {
    state::Transaction tx(state, now);
    more = expire_deadlines(tx);
    finish(tx);
  }
  EXPECT_EQ(steps, 2);
  EXPECT_TRUE(state.deadlines().empty());
}

TEST_F(QueueTest, LargeRecordsTakeSeveralTransactions) {
  for (int i = 0; i < 7; ++i) {
    TaskId id = create({.deadline = minutes(1)});
    state::Transaction tx(state, now);
    tx.update<state::Task>(
        id, [](state::Task& task) { task.unknown_fields = ",\"x\":\"" + std::string(200'000, 'x') + "\""; });
    finish(tx);
  }
  EXPECT_EQ(claim(7).size(), 3u);
  now += minutes(1);
  std::vector<std::size_t> ended;
  for (bool more = true; more;) {
    std::size_t before = state.deadlines().size();
    state::Transaction tx(state, now);
    more = expire_deadlines(tx);
    finish(tx);
    ended.push_back(before - state.deadlines().size());
  }
  EXPECT_EQ(ended, (std::vector<std::size_t>{3, 3, 1}));
}

TEST_F(QueueTest, CancelEndsWhatIsNotResolved) {
  TaskId pending = create();
  ASSERT_TRUE(cancel(pending));
  EXPECT_EQ(runs(pending), "exception canceled");
  ASSERT_TRUE(cancel(pending)) << "again is fine";
  NodeId node = add_node(1, 1000);
  TaskId running = create();
  EXPECT_EQ(claimed_ids(1, node), Ids{running});
  ASSERT_TRUE(cancel(running));
  EXPECT_EQ(runs(running), "exception canceled");
  EXPECT_TRUE(changed(Change::Kind::allocation_lost));
  EXPECT_EQ(allocations(), 0u);
  conflicts(report(running, 0, ReasonResolved::completed));
  conflicts(reclaim(running, 0));
}

TEST_F(QueueTest, CancelLeavesAResolvedTaskAlone) {
  TaskId id = create_running();
  ASSERT_TRUE(report(id, 0, ReasonResolved::completed));
  EXPECT_TRUE(cancel(id));
  EXPECT_EQ(runs(id), "completed completed");
  EXPECT_EQ(cancel(numbered_id<TaskTag>(99)).error().code(), ErrorCode::not_found);
}

TEST_F(QueueTest, CancelAfterTheDeadlineIsAConflict) {
  TaskId id = create({.deadline = minutes(1)});
  now += minutes(1);
  conflicts(cancel(id));
}

TEST_F(QueueTest, ALostNodeLosesItsRunsAndNoOthers) {
  NodeId lost = add_node(5, 1000, "lost");
  NodeId other = add_node(5, 1000, "other");
  TaskId a = create();
  EXPECT_EQ(claimed_ids(1, lost), Ids{a});
  TaskId b = create();
  EXPECT_EQ(claimed_ids(1, other), Ids{b});
  lose_node(lost);
  EXPECT_EQ(runs(a), "exception claim-expired, pending retry");
  EXPECT_EQ(runs(b), "running scheduled");
}

TEST_F(QueueTest, ANodeThatStartedAgainKeepsWhatItHolds) {
  NodeId node = add_node(5, 1000);
  TaskId kept = create();
  TaskId gone = create();
  EXPECT_EQ(claimed_ids(2, node), (Ids{kept, gone}));
  state::Transaction tx(state, now);
  EXPECT_FALSE(expire_unheld(tx, node, {{kept, 0}}));
  finish(tx);
  EXPECT_EQ(runs(kept), "running scheduled");
  EXPECT_EQ(runs(gone), "exception claim-expired, pending retry");
}

TEST_F(QueueTest, AnUndeliveredClaimIsUndoneWithoutARetry) {
  TaskId id = create();
  Claim undelivered = claim()[0];
  unclaim(undelivered);
  EXPECT_EQ(runs(id), "pending scheduled");
  EXPECT_EQ(task(id).retries_left, 5);
  EXPECT_EQ(task(id).runs[0].worker_id, "");
  EXPECT_EQ(task(id).runs[0].started, Time());
  EXPECT_EQ(allocations(), 0u);
  EXPECT_TRUE(changed(Change::Kind::task_pending));
  EXPECT_EQ(claimed_ids(1), Ids{id});
}

TEST_F(QueueTest, AnUndeliveredClaimThatHasMovedOnIsLeftAlone) {
  TaskId id = create();
  Claim undelivered = claim()[0];
  unclaim(undelivered, "somebody else");
  EXPECT_EQ(runs(id), "running scheduled");
  now += minutes(1);
  ASSERT_TRUE(reclaim(id, 0));
  unclaim(undelivered);
  EXPECT_EQ(runs(id), "running scheduled") << "it was reclaimed, so it was delivered";
  ASSERT_TRUE(report(id, 0, ReasonResolved::completed));
  unclaim(undelivered);
  EXPECT_EQ(runs(id), "completed completed");
}

TEST_F(QueueTest, NodesHaveTheirWorkerNameForThemselves) {
  NodeId node = add_node(1, 1000, "box");
  state::Node twin = state.table<state::Node>().find(node)->record;
  std::uint64_t commit = state.last_commit();
  {
    state::Transaction tx(state, now);
    EXPECT_TRUE(grid::register_node(tx, twin));
    finish(tx);
    EXPECT_EQ(state.last_commit(), commit) << "nothing has changed, so nothing is written";
  }
  twin.id = numbered_id<NodeTag>(77);
  state::Transaction tx(state, now);
  conflicts(grid::register_node(tx, twin));
}

TEST_F(QueueTest, ANodeCannotBeTakenOverByAnotherWorker) {
  NodeId node = add_node(1, 1000, "box");
  state::Node other = state.table<state::Node>().find(node)->record;
  other.worker_id = "intruder";
  state::Transaction tx(state, now);
  conflicts(grid::register_node(tx, other));
}

TEST_F(QueueTest, ANodeMayDescribeItselfAnew) {
  NodeId node = add_node(1, 1000, "box");
  state::Node described = state.table<state::Node>().find(node)->record;
  described.slots = 8;
  described.task_queue = "prov/other";
  state::Transaction tx(state, now);
  ASSERT_TRUE(grid::register_node(tx, described));
  finish(tx);
  EXPECT_EQ(state.table<state::Node>().find(node)->record.slots, 8);
  EXPECT_TRUE(state.is_native_queue("prov/other"));
  EXPECT_FALSE(state.is_native_queue("prov/queue"));
}

}  // namespace
}  // namespace gantry::queue
