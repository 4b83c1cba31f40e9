// Groups: membership, sealing, cancelling, their end; priorities and pulling.
#include <gtest/gtest.h>

#include "core/queue/limits.h"
#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::Change;
using state::Group;
using state::Priority;
using state::ReasonResolved;
using state::TableId;
using testing_world::numbered_id;
using testing_world::QueueWorld;
using Ids = std::vector<TaskId>;

struct GroupTest : testing::Test, QueueWorld {
  ~GroupTest() override { EXPECT_EQ(state::check_state(state), std::nullopt); }

  Result<GroupView> view(TaskGroupId id) {
    return decide([&](state::Transaction& tx) { return view_group(tx, id); });
  }
  Result<GroupView> seal(TaskGroupId id) {
    return decide([&](state::Transaction& tx) { return seal_group(tx, id); });
  }
  Result<GroupCancel> cancel_all(TaskGroupId id) {
    return decide([&](state::Transaction& tx) { return cancel_group(tx, id); });
  }
  Result<GroupView> pulls(TaskGroupId id, bool on = true) {
    return decide([&](state::Transaction& tx) { return set_group_pulls(tx, id, on); });
  }
  Result<void> prioritize(TaskId id, Priority priority) {
    return done(decide([&](state::Transaction& tx) { return change_priority(tx, id, priority); }));
  }
  Result<void> try_join(TaskGroupId id, const std::string& scheduler = "-") {
    return try_create(numbered_id<TaskTag>(++last_id), definition({.group = id, .scheduler = scheduler}));
  }
  /// Names of the rows of the group's members that the last transaction wrote.
  std::vector<std::string> members_written() const {
    std::vector<std::string> names;
    for (const auto& write : writes) {
      if (write.table == TableId::group_member && write.value) names.push_back(*write.value);
    }
    return names;
  }
};

template <class T>
ErrorCode code_of(const Result<T>& result) {
  EXPECT_FALSE(result);
  return result ? ErrorCode::internal : result.error().code();
}

TEST_F(GroupTest, ATaskAloneNeedsNoRecord) {
  TaskId id = create();
  EXPECT_EQ(state.table<Group>().size(), 0u);
  GroupView group = view(id).value();
  EXPECT_EQ(group.tasks, 1);
  EXPECT_EQ(group.members, 0u);
  EXPECT_EQ(group.expires, task(id).expires);
  EXPECT_EQ(group.scheduler, "-");
  EXPECT_EQ(code_of(view(numbered_id<TaskTag>(999))), ErrorCode::not_found);
}

TEST_F(GroupTest, TheSecondTaskMakesTheRecordAndTheFirstAMember) {
  TaskId root = create();
  TaskId second = create({.deadline = hours(3), .group = root});
  EXPECT_EQ(members_written(), (std::vector{root.to_string(), second.to_string()}));
  GroupView group = view(root).value();
  EXPECT_EQ(group.tasks, 2);
  EXPECT_EQ(group.expires, task(second).expires);
  EXPECT_NE(group.members, 0u);
  create({.group = root});
  EXPECT_EQ(view(root).value().tasks, 3);
  EXPECT_EQ(view(root).value().expires, task(second).expires) << "the latest of all";
}

TEST_F(GroupTest, ARootThatComesLaterJoins) {
  TaskId root = numbered_id<TaskTag>(500);
  create({.group = root});
  ASSERT_TRUE(try_create(root, definition({.group = root})));
  EXPECT_EQ(members_written(), std::vector{root.to_string()});
  EXPECT_EQ(view(root).value().tasks, 2);
}

TEST_F(GroupTest, ATaskOfAnotherGroupIsNotTheRoot) {
  TaskGroupId other = numbered_id<TaskTag>(500);
  TaskId elsewhere = create({.group = other});
  TaskId member = create({.group = elsewhere});
  EXPECT_EQ(members_written(), std::vector{member.to_string()});
  EXPECT_EQ(view(elsewhere).value().tasks, 1);
  resolve(member);
  EXPECT_TRUE(changed(Change::Kind::group_resolved)) << "the task whose id it has is in another group";
}

TEST_F(GroupTest, AGroupHasOneScheduler) {
  TaskId root = create({.scheduler = "ours"});
  EXPECT_EQ(code_of(try_join(root, "theirs")), ErrorCode::conflict);
  EXPECT_EQ(state.table<Group>().size(), 0u) << "nothing is left of it";
  EXPECT_TRUE(try_join(root, "ours"));
  EXPECT_EQ(code_of(try_join(root, "theirs")), ErrorCode::conflict);
  TaskGroupId later = numbered_id<TaskTag>(700);
  ASSERT_TRUE(try_join(later, "ours"));
  EXPECT_EQ(code_of(try_create(later, definition({.group = later, .scheduler = "theirs"}))), ErrorCode::conflict);
}

TEST_F(GroupTest, ASealedGroupTakesNoMoreTasks) {
  TaskId root = create();
  EXPECT_EQ(seal(root).value().sealed, now);
  EXPECT_TRUE(changed(Change::Kind::group_sealed));
  EXPECT_EQ(changes[0].name, "-");
  EXPECT_EQ(members_written(), std::vector{root.to_string()});
  Time at = now;
  now += minutes(1);
  EXPECT_EQ(seal(root).value().sealed, at) << "again is fine";
  EXPECT_TRUE(changes.empty());
  EXPECT_EQ(code_of(try_join(root)), ErrorCode::conflict);
  EXPECT_TRUE(try_create(root, definition({.group = root}))) << "it was there before";
  EXPECT_EQ(code_of(seal(numbered_id<TaskTag>(999))), ErrorCode::not_found);
}

TEST_F(GroupTest, CancelTakesASealedGroupOnlyAndSparesWhatIsResolved) {
  TaskId root = create();
  TaskId done_before = create({.group = root});
  TaskId open = create({.group = root});
  TaskId waiting = create({.dependencies = {open}, .group = root});
  TaskId another = create();
  resolve(done_before);
  EXPECT_EQ(code_of(cancel_all(root)), ErrorCode::conflict);
  ASSERT_TRUE(seal(root));
  GroupCancel cancelled = cancel_all(root).value();
  EXPECT_EQ(cancelled.group.tasks, 4);
  EXPECT_EQ(cancelled.tasks, (Ids{root, open, waiting}));
  for (TaskId id : cancelled.tasks) EXPECT_EQ(runs(id), "exception canceled");
  EXPECT_EQ(runs(done_before), "completed completed");
  EXPECT_EQ(runs(another), "pending scheduled");
  EXPECT_TRUE(changed(Change::Kind::group_resolved));
  EXPECT_TRUE(cancel_all(root).value().tasks.empty()) << "again is fine";
}

TEST_F(GroupTest, ALargeGroupIsCancelledInSteps) {
  TaskId root = create();
  for (int i = 0; i < 300; ++i) create({.group = root});
  TaskId late = create({.deadline = minutes(1), .group = root});
  ASSERT_TRUE(seal(root));
  now += minutes(1);
  GroupCancel cancelled = cancel_all(root).value();
  EXPECT_EQ(cancelled.tasks.size(), 301u);
  EXPECT_FALSE(changed(Change::Kind::group_resolved));
  EXPECT_GE(work(), 3);
  EXPECT_EQ(open_tasks(state, root), Ids{late}) << "its deadline ends it";
  expire();
  EXPECT_TRUE(changed(Change::Kind::group_resolved));
}

TEST_F(GroupTest, AGroupIsResolvedWithItsLastTask) {
  TaskId root = create();
  TaskId second = create({.group = root});
  resolve(second);
  EXPECT_FALSE(changed(Change::Kind::group_resolved));
  resolve(root);
  ASSERT_TRUE(changed(Change::Kind::group_resolved));
  EXPECT_EQ(changes.back().task, root);
  ASSERT_TRUE(rerun(second));
  resolve(second);
  EXPECT_TRUE(changed(Change::Kind::group_resolved)) << "once more";
  TaskId alone = create();
  resolve(alone, ReasonResolved::failed);
  EXPECT_TRUE(changed(Change::Kind::group_resolved)) << "a group of one";
}

TEST_F(GroupTest, PriorityMovesATaskInItsLine) {
  TaskId a = create();
  TaskId b = create();
  ASSERT_TRUE(prioritize(b, Priority::high));
  ASSERT_TRUE(changed(Change::Kind::priority_changed));
  EXPECT_EQ(changes[0].priority_before, Priority::lowest);
  EXPECT_EQ(changes[0].priority, Priority::high);
  ASSERT_TRUE(prioritize(b, Priority::high));
  EXPECT_TRUE(changes.empty());
  EXPECT_EQ(claimed_ids(2), (Ids{b, a}));
  EXPECT_TRUE(prioritize(a, Priority::low)) << "a running one, for its retries";
  ASSERT_TRUE(report(a, 0, ReasonResolved::completed));
  EXPECT_EQ(code_of(prioritize(a, Priority::high)), ErrorCode::conflict);
  EXPECT_EQ(code_of(prioritize(numbered_id<TaskTag>(999), Priority::high)), ErrorCode::not_found);
}

TEST_F(GroupTest, AGroupsPriorityChangesInSteps) {
  TaskId root = create();
  Ids ids = {root};
  for (int i = 0; i < 200; ++i) ids.push_back(create({.group = root}));
  auto changed_group =
      decide([&](state::Transaction& tx) { return change_group_priority(tx, root, Priority::medium); });
  EXPECT_EQ(changed_group.value().tasks, 201);
  ASSERT_TRUE(changed(Change::Kind::group_priority_changed));
  EXPECT_EQ(changes[0].tasks_affected, 201);
  EXPECT_GE(work(), 1);
  for (TaskId id : ids) EXPECT_EQ(task(id).priority, Priority::medium);
}

TEST_F(GroupTest, WhatIsDecidedLaterOutlastsTheStepsOfAGroupsChange) {
  TaskId root = create();
  Ids ids = {root};
  for (int i = 0; i < 300; ++i) ids.push_back(create({.group = root}));
  auto prioritize_group = [&](Priority priority) {
    return done(decide([&](state::Transaction& tx) { return change_group_priority(tx, root, priority); }));
  };
  ASSERT_TRUE(prioritize_group(Priority::medium));
  ASSERT_EQ(task(ids.back()).priority, Priority::lowest) << "its turn comes in a later step";
  ASSERT_TRUE(prioritize(ids.back(), Priority::very_high));
  ASSERT_TRUE(prioritize(ids[299], Priority::low));
  work();
  EXPECT_EQ(task(ids.back()).priority, Priority::very_high);
  EXPECT_EQ(task(ids[299]).priority, Priority::low);
  EXPECT_EQ(task(ids[298]).priority, Priority::medium);

  ASSERT_TRUE(prioritize_group(Priority::high));
  ASSERT_TRUE(prioritize_group(Priority::low));
  EXPECT_EQ(state.works().size(), 1u) << "the later one goes to all tasks of the earlier";
  work();
  for (TaskId id : ids) EXPECT_EQ(task(id).priority, Priority::low);
}

TEST_F(GroupTest, OnlySoManyTasksAreSparedByAGroupsChange) {
  TaskId root = create();
  Ids ids = {root};
  for (std::size_t i = 0; i < spared_tasks_max + 200; ++i) ids.push_back(create({.group = root}));
  ASSERT_TRUE(decide([&](state::Transaction& tx) { return change_group_priority(tx, root, Priority::medium); }));
  for (std::size_t i = 0; i < spared_tasks_max; ++i) ASSERT_TRUE(prioritize(ids[i], Priority::high));
  EXPECT_TRUE(prioritize(ids[0], Priority::highest)) << "it is spared already";
  EXPECT_EQ(code_of(prioritize(ids.back(), Priority::high)), ErrorCode::unavailable);
  work();
  EXPECT_TRUE(prioritize(ids.back(), Priority::high));
}

TEST_F(GroupTest, AnUrgentTaskPullsWhatItWaitsForIfItsGroupSaysSo) {
  TaskId base = create();
  TaskId middle = create({.dependencies = {base}});
  TaskId other = create();
  TaskGroupId group = numbered_id<TaskTag>(600);
  TaskId urgent = create({.priority = Priority::high, .dependencies = {middle}, .group = group});
  EXPECT_EQ(task(base).pulled, Priority::lowest) << "nobody asked for it";
  ASSERT_TRUE(pulls(group));
  work();
  EXPECT_EQ(task(middle).pulled, Priority::high);
  EXPECT_EQ(task(base).pulled, Priority::high) << "and on";
  EXPECT_EQ(task(base).priority, Priority::lowest);
  TaskId before = create({.priority = Priority::medium});
  EXPECT_EQ(claimed_ids(3), (Ids{base, before, other}));
  ASSERT_TRUE(prioritize(urgent, Priority::highest));
  EXPECT_EQ(task(base).pulled, Priority::highest);
  ASSERT_TRUE(cancel(urgent));
  EXPECT_EQ(task(base).pulled, Priority::highest) << "it is not taken back";
}

TEST_F(GroupTest, ANewTaskPullsAndARerunIsPulled) {
  TaskId base = create();
  TaskGroupId group = numbered_id<TaskTag>(600);
  create({.group = group});
  ASSERT_TRUE(pulls(group));
  work();
  resolve(base, ReasonResolved::failed);
  TaskId urgent = create({.priority = Priority::high, .dependencies = {base}, .group = group});
  EXPECT_TRUE(task(urgent).pulls);
  EXPECT_EQ(task(base).pulled, Priority::lowest) << "it is resolved";
  ASSERT_TRUE(rerun(base));
  EXPECT_EQ(task(base).pulled, Priority::high);
}

TEST_F(GroupTest, PullingIsTakenBackForTheFutureOnly) {
  TaskGroupId group = numbered_id<TaskTag>(600);
  TaskId base = create({.group = group});
  ASSERT_TRUE(pulls(group));
  work();
  create({.priority = Priority::low, .dependencies = {base}, .group = group});
  ASSERT_TRUE(pulls(group, false));
  work();
  create({.priority = Priority::high, .dependencies = {base}, .group = group});
  EXPECT_EQ(task(base).pulled, Priority::low);
}

TEST_F(GroupTest, ALongChainAndAWideFanArePulledInSteps) {
  TaskGroupId group = numbered_id<TaskTag>(600);
  TaskId last = create({.group = group});
  Ids ids = {last};
  for (int i = 0; i < 100; ++i) ids.push_back(last = create({.dependencies = {last}, .group = group}));
  Ids wide = {last};
  for (int i = 0; i < 300; ++i) wide.push_back(create());
  TaskId urgent = create({.dependencies = wide, .group = group});
  ASSERT_TRUE(pulls(group));
  work();
  ASSERT_TRUE(prioritize(urgent, Priority::very_high));
  EXPECT_EQ(state::check_state(state), std::nullopt);
  EXPECT_GE(work(), 3);
  ids.insert(ids.end(), wide.begin(), wide.end());
  for (TaskId id : ids) EXPECT_EQ(task(id).pulled, Priority::very_high);
}

}  // namespace
}  // namespace gantry::queue
