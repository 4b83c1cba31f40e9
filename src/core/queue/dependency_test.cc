// Tasks that wait for others, and what makes them pending (taskcluster.md 2.4, 2.5).
#include <gtest/gtest.h>

#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::Change;
using state::Priority;
using state::ReasonResolved;
using state::TableId;
using testing_world::numbered_id;
using testing_world::QueueWorld;
using testing_world::TaskOptions;

struct DependencyTest : testing::Test, QueueWorld {
  ~DependencyTest() override { EXPECT_EQ(state::check_state(state), std::nullopt); }

  std::vector<TaskId> create_many(int count) {
    std::vector<TaskId> ids;
    for (int i = 0; i < count; ++i) ids.push_back(create());
    return ids;
  }
  std::size_t rows(TableId table) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(writes, [&](const state::Write& write) { return write.table == table && write.value; }));
  }
  Result<void> try_with(TaskOptions options) {
    return try_create(numbered_id<TaskTag>(++last_id), definition(options));
  }
};

template <class T>
ErrorCode code_of(const Result<T>& result) {
  EXPECT_FALSE(result);
  return result ? ErrorCode::internal : result.error().code();
}

TEST_F(DependencyTest, ATaskIsUnscheduledUntilItsDependencyCompletes) {
  TaskId first = create();
  TaskId second = create({.dependencies = {first}});
  EXPECT_EQ(runs(second), "");
  EXPECT_EQ(task(second).state(), state::TaskState::unscheduled);
  EXPECT_TRUE(changed(Change::Kind::task_defined));
  EXPECT_FALSE(changed(Change::Kind::task_pending));
  EXPECT_EQ(rows(TableId::dependent), 1u);
  resolve(first);
  EXPECT_EQ(runs(second), "pending scheduled");
  EXPECT_EQ(task(second).waits, nullptr);
  EXPECT_TRUE(changed(Change::Kind::task_pending));
}

TEST_F(DependencyTest, AllOfThemMustComplete) {
  auto on = create_many(3);
  TaskId last = create({.dependencies = on});
  resolve(on[2]);
  resolve(on[0]);
  EXPECT_EQ(runs(last), "");
  EXPECT_EQ(task(last).waits->left, 1u);
  resolve(on[1]);
  EXPECT_EQ(runs(last), "pending scheduled");
}

TEST_F(DependencyTest, WhatHasCompletedBeforeCountsAsMet) {
  TaskId first = create();
  resolve(first);
  TaskId second = create({.dependencies = {first}});
  EXPECT_EQ(runs(second), "pending scheduled");
  EXPECT_EQ(rows(TableId::dependent), 1u) << "it is listed all the same";
}

TEST_F(DependencyTest, AFailureReleasesThoseOnlyThatTakeAnyOutcome) {
  for (auto reason : {ReasonResolved::failed, ReasonResolved::internal_error}) {
    TaskId first = create();
    TaskId strict = create({.dependencies = {first}});
    TaskId any = create({.dependencies = {first}, .any_outcome = true});
    resolve(first, reason);
    EXPECT_EQ(runs(strict), "");
    EXPECT_EQ(runs(any), "pending scheduled");
    EXPECT_EQ(runs(create({.dependencies = {first}})), "");
    EXPECT_EQ(runs(create({.dependencies = {first}, .any_outcome = true})), "pending scheduled");
    ASSERT_TRUE(rerun(first));
    resolve(first);
    EXPECT_EQ(runs(strict), "pending scheduled") << "the rerun completed";
  }
}

TEST_F(DependencyTest, ARetryReleasesNobody) {
  TaskId first = create({.retries = 1});
  TaskId any = create({.dependencies = {first}, .any_outcome = true});
  resolve(first, ReasonResolved::worker_shutdown);
  EXPECT_EQ(runs(any), "");
  resolve(first, ReasonResolved::worker_shutdown);
  EXPECT_EQ(runs(any), "pending scheduled");
}

TEST_F(DependencyTest, CancellingAndDeadlinesReleaseTooForAnyOutcome) {
  TaskId cancelled = create();
  TaskId late = create({.deadline = minutes(5)});
  TaskId after_cancel = create({.dependencies = {cancelled}, .any_outcome = true});
  TaskId after_late = create({.dependencies = {late}, .any_outcome = true});
  ASSERT_TRUE(cancel(cancelled));
  EXPECT_EQ(runs(after_cancel), "pending scheduled");
  now += minutes(5);
  expire();
  EXPECT_EQ(runs(after_late), "pending scheduled");
}

TEST_F(DependencyTest, WhoWasReleasedStaysReleasedWhenTheDependencyRunsAgain) {
  auto on = create_many(2);
  TaskId last = create({.dependencies = on});
  resolve(on[0]);
  ASSERT_TRUE(rerun(on[0]));
  EXPECT_EQ(task(last).waits->left, 1u);
  resolve(on[0], ReasonResolved::failed);
  resolve(on[1]);
  EXPECT_EQ(runs(last), "pending scheduled");
}

TEST_F(DependencyTest, ADependencyOnItselfHoldsATaskUntilItIsScheduled) {
  TaskId id = numbered_id<TaskTag>(500);
  auto made = definition({.dependencies = {id}});
  ASSERT_TRUE(try_create(id, made));
  EXPECT_EQ(runs(id), "");
  ASSERT_TRUE(schedule(id));
  EXPECT_EQ(runs(id), "pending scheduled");
  ASSERT_TRUE(schedule(id)) << "again is fine";
  EXPECT_EQ(runs(id), "pending scheduled");
}

TEST_F(DependencyTest, ADefinedTaskWaitsForItsSchedulingWhateverElseHappens) {
  TaskId first = create();
  TaskId id = numbered_id<TaskTag>(500);
  auto made = definition({.dependencies = {first}});
  ASSERT_TRUE(try_create(id, made, Start::when_scheduled));
  resolve(first);
  EXPECT_EQ(runs(id), "");
  ASSERT_TRUE(schedule(id));
  EXPECT_EQ(runs(id), "pending scheduled");
  EXPECT_TRUE(try_create(id, made)) << "the same definition";
  EXPECT_TRUE(try_create(numbered_id<TaskTag>(501), definition({}), Start::when_scheduled));
  EXPECT_EQ(runs(numbered_id<TaskTag>(501)), "");
}

TEST_F(DependencyTest, SchedulingDoesNotWaitForDependencies) {
  TaskId first = create();
  TaskId second = create({.dependencies = {first}});
  ASSERT_TRUE(schedule(second));
  EXPECT_EQ(runs(second), "pending scheduled");
  resolve(first);
  EXPECT_EQ(runs(second), "pending scheduled");
}

TEST_F(DependencyTest, SchedulingIsAConflictAfterTheDeadline) {
  TaskId first = create();
  TaskId id = create({.deadline = minutes(1), .dependencies = {first}});
  now += minutes(1) - Duration(1);
  EXPECT_TRUE(schedule(create({.dependencies = {first}})));
  now += Duration(1);
  EXPECT_EQ(code_of(schedule(id)), ErrorCode::conflict);
  EXPECT_EQ(code_of(rerun(id)), ErrorCode::conflict);
  EXPECT_EQ(code_of(schedule(numbered_id<TaskTag>(999))), ErrorCode::not_found);
}

TEST_F(DependencyTest, NothingIsReleasedAfterItsDeadline) {
  TaskId first = create();
  TaskId late = create({.deadline = minutes(1), .dependencies = {first}});
  now += minutes(1);
  resolve(first);
  EXPECT_EQ(runs(late), "");
  expire();
  EXPECT_EQ(runs(late), "exception deadline-exceeded");
}

TEST_F(DependencyTest, ACancelledWaiterIsForgotten) {
  TaskId first = create();
  TaskId second = create({.dependencies = {first}});
  ASSERT_TRUE(cancel(second));
  EXPECT_EQ(runs(second), "exception canceled");
  EXPECT_TRUE(state.dependents_of(first).empty());
  resolve(first);
  EXPECT_EQ(runs(second), "exception canceled");
  ASSERT_TRUE(rerun(second));
  EXPECT_EQ(runs(second), "exception canceled, pending rerun");
}

TEST_F(DependencyTest, DependenciesMustExistAndOutliveTheDeadline) {
  TaskId first = create();  // expires 25 hours from now
  auto missing = try_with({.dependencies = {first, numbered_id<TaskTag>(999)}});
  EXPECT_EQ(code_of(missing), ErrorCode::invalid_input);
  EXPECT_NE(missing.error().message().find("dependencies.1"), std::string::npos);
  EXPECT_TRUE(try_with({.deadline = hours(25), .dependencies = {first}}));
  EXPECT_EQ(code_of(try_with({.deadline = hours(25) + Duration(1), .dependencies = {first}})),
            ErrorCode::invalid_input);
}

TEST_F(DependencyTest, ColdDependenciesAreGivenAsFacts) {
  TaskId cold = numbered_id<TaskTag>(900);
  TaskId failed = numbered_id<TaskTag>(901);
  std::vector<DependencyFacts> facts = {{cold, 17, state::TaskState::completed, now + days(2)},
                                        {failed, 18, state::TaskState::failed, now + days(2)}};
  auto create_on = [&](std::vector<TaskId> on) {
    TaskId id = numbered_id<TaskTag>(++last_id);
    EXPECT_TRUE(decide([&](state::Transaction& tx) {
      return queue::create(tx, id, definition({.dependencies = on}), Start::when_ready, facts);
    }));
    return id;
  };
  EXPECT_EQ(runs(create_on({cold})), "pending scheduled");
  EXPECT_TRUE(std::ranges::any_of(writes, [&](const state::Write& write) {
    return write.table == TableId::dependent && write.key.sequence == 17;
  }));
  EXPECT_EQ(runs(create_on({cold, failed})), "");
}

TEST_F(DependencyTest, ManyDependentsAreReleasedInSteps) {
  TaskId first = create();
  std::vector<TaskId> waiting;
  for (int i = 0; i < 250; ++i) waiting.push_back(create({.dependencies = {first}}));
  resolve(first);
  EXPECT_TRUE(has_work(state));
  EXPECT_EQ(state::check_state(state), std::nullopt);
  ASSERT_TRUE(rerun(first));
  TaskId later = create({.dependencies = {first}});
  EXPECT_GE(work(), 2);
  for (TaskId id : waiting) EXPECT_EQ(runs(id), "pending scheduled");
  EXPECT_EQ(runs(later), "") << "it came after that end";
}

TEST_F(DependencyTest, LinksThatDoNotFitAreWrittenInSteps) {
  auto on = create_many(2'500);
  std::set<std::uint64_t> linked;
  auto note = [&] {
    for (const state::Write& write : writes) {
      if (write.table == TableId::dependent && write.value) linked.insert(write.key.sequence);
    }
  };
  TaskId id = create({.dependencies = on});
  note();
  EXPECT_GT(linked.size(), 50u);
  while (has_work(state)) {
    state::Transaction tx(state, now);
    continue_work(tx);
    finish(tx);
    EXPECT_LE(writes.size(), state::operations_max);
    note();
  }
  EXPECT_EQ(linked.size(), on.size());
  for (TaskId dependency : on) EXPECT_TRUE(linked.contains(task(dependency).sequence));
  for (TaskId dependency : on) resolve(dependency);
  EXPECT_EQ(runs(id), "pending scheduled");
}

TEST_F(DependencyTest, WorkTakesTurns) {
  TaskId a = create();
  TaskId b = create();
  std::vector<TaskId> after_a, after_b;
  for (int i = 0; i < 300; ++i) after_a.push_back(create({.dependencies = {a}}));
  for (int i = 0; i < 300; ++i) after_b.push_back(create({.dependencies = {b}}));
  resolve(a);
  resolve(b);
  auto left = [&](TaskId id) { return state.dependents_of(id).size(); };
  for (int i = 0; i < 2; ++i) {
    state::Transaction tx(state, now);
    EXPECT_TRUE(continue_work(tx));
    finish(tx);
  }
  EXPECT_LT(left(a), 150u);
  EXPECT_LT(left(b), 150u);
  work();
  EXPECT_EQ(left(a) + left(b), 0u);
}

TEST_F(DependencyTest, AnAbandonedDecisionLeavesNoTrace) {
  TaskId first = create();
  for (int i = 0; i < 150; ++i) create({.dependencies = {first}, .group = first});
  resolve(first, ReasonResolved::failed);
  ASSERT_TRUE(rerun(first));
  Claim claimed = claim()[0];
  std::string before = testing_world::dump(state);
  {
    state::Transaction tx(state, now);
    ASSERT_TRUE(queue::report(tx, claimed.task, claimed.run, {}));
    EXPECT_NE(testing_world::dump(state), before);
  }
  EXPECT_EQ(testing_world::dump(state), before);
  {
    state::Transaction tx(state, now);
    ASSERT_TRUE(queue::create(tx, numbered_id<TaskTag>(777), definition({.dependencies = {first}, .group = first})));
  }
  EXPECT_EQ(testing_world::dump(state), before);
}

TEST_F(DependencyTest, RerunGivesRetriesAnew) {
  TaskId id = create({.retries = 1});
  resolve(id, ReasonResolved::worker_shutdown);
  EXPECT_EQ(task(id).retries_left, 0);
  resolve(id, ReasonResolved::failed);
  ASSERT_TRUE(rerun(id));
  EXPECT_EQ(task(id).retries_left, 1);
  EXPECT_EQ(runs(id), "exception worker-shutdown, failed failed, pending rerun");
  EXPECT_TRUE(changed(Change::Kind::task_pending));
  ASSERT_TRUE(rerun(id)) << "it is pending: nothing to do";
  EXPECT_EQ(task(id).runs.size(), 3u);
}

TEST_F(DependencyTest, RerunSchedulesAnUnscheduledTask) {
  TaskId first = create();
  TaskId second = create({.dependencies = {first}});
  ASSERT_TRUE(rerun(second));
  EXPECT_EQ(runs(second), "pending rerun");
}

TEST_F(DependencyTest, ATaskHas50RunsAtMost) {
  TaskId id = create({.retries = 0, .deadline = hours(5)});
  for (int run = 0; run < runs_max - 1; ++run) {
    resolve(id, ReasonResolved::failed);
    ASSERT_TRUE(rerun(id)) << run;
  }
  resolve(id, ReasonResolved::failed);
  EXPECT_EQ(task(id).runs.size(), 50u);
  EXPECT_EQ(code_of(rerun(id)), ErrorCode::conflict);
}

TEST_F(DependencyTest, RetriesAfterARerunEndWith50Runs) {
  TaskId id = create({.retries = 10, .deadline = hours(5)});
  for (int run = 0; run < 44; ++run) {
    resolve(id, ReasonResolved::failed);
    ASSERT_TRUE(rerun(id));
  }
  EXPECT_EQ(task(id).runs.size(), 45u);
  EXPECT_EQ(task(id).retries_left, 5);
  while (!task(id).resolved()) resolve(id, ReasonResolved::worker_shutdown);
  EXPECT_EQ(task(id).runs.size(), 50u);
}

}  // namespace
}  // namespace gantry::queue
