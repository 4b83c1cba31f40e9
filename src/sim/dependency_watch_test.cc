#include "sim/dependency_watch.h"

#include <gtest/gtest.h>

namespace gantry::sim {
namespace {

using wire::ReasonCreated;
using wire::TaskState;

constexpr std::int64_t minute_us = 60'000'000;

/// `last` depends on `first`.
struct DependencyWatchTest : testing::Test {
  const TaskId first = TaskId::parse("fN1SbArXTPSVFNUvaOlinQ").value();
  const TaskId last = TaskId::parse("VjG3f5GpTXyXp8QzRCFd0Q").value();
  std::string failure;
  Oracle oracle{[](const std::string&) {}};
  DependencyWatch watch{oracle, [this](std::string what) { failure = std::move(what); }};

  DependencyWatchTest() {
    wire::TaskDefinition definition;
    oracle.plan(first, definition);
    definition.dependencies = {first};
    oracle.plan(last, definition);
  }

  static state::Run run(TaskState state, int at_s, ReasonCreated created = ReasonCreated::scheduled) {
    state::Run run;
    run.state = state;
    run.reason_created = created;
    run.scheduled = time_from_ms(at_s * 1000);
    if (wire::is_resolved(state)) run.resolved = run.scheduled + seconds(1);
    return run;
  }
  static state::Task task(TaskId id, std::vector<state::Run> runs) {
    state::Task task;
    task.id = id;
    task.task_queue = "a/b";
    task.created = time_from_ms(1'000);
    task.deadline = time_from_ms(1'000'000'000);
    task.sequence = 1;
    task.runs = std::move(runs);
    if (task.runs.empty()) {
      auto waits = std::make_shared<state::Waits>();
      waits->on = std::make_shared<const std::vector<TaskId>>();
      task.waits = std::move(waits);
    }
    return task;
  }
  /// Both are seen as they are, for the first time, and again a minute later.
  void look(std::vector<state::Run> of_first, std::vector<state::Run> of_last) {
    state::State state;
    state.load(task(first, std::move(of_first)));
    state.load(task(last, std::move(of_last)));
    watch.start_over();
    state.table<state::Task>().for_each([&](const state::Task& each) { watch.saw(nullptr, each); });
    watch.look(state, time_from_ms(0), minute_us, 0);
    watch.look(state, time_from_ms(0), 2 * minute_us, 0);
  }
};

TEST_F(DependencyWatchTest, AReleasedTaskIsRight) {
  look({run(TaskState::completed, 2)}, {run(TaskState::pending, 3)});
  EXPECT_EQ(failure, "");
}

TEST_F(DependencyWatchTest, WhoWasReleasedStaysSoWhenItIsRunAgain) {
  look({run(TaskState::completed, 2), run(TaskState::running, 5, ReasonCreated::rerun)}, {});
  EXPECT_NE(failure.find("still waits"), std::string::npos);
}

TEST_F(DependencyWatchTest, ATaskMayWaitForAFailedOne) {
  look({run(TaskState::failed, 2)}, {});
  EXPECT_EQ(failure, "");
}

TEST_F(DependencyWatchTest, AFailedOneReleasesNobody) {
  look({run(TaskState::failed, 2)}, {run(TaskState::pending, 3)});
  EXPECT_NE(failure.find("runs before"), std::string::npos);
}

TEST_F(DependencyWatchTest, ARunThatIsTriedAgainIsNoEnd) {
  oracle.find(last)->definition.any_outcome = true;
  look({run(TaskState::exception, 2), run(TaskState::pending, 3, ReasonCreated::retry)}, {run(TaskState::pending, 3)});
  EXPECT_NE(failure.find("runs before"), std::string::npos);
}

TEST_F(DependencyWatchTest, WhatIsScheduledMayRun) {
  oracle.schedule_asked(last);
  look({run(TaskState::pending, 2)}, {run(TaskState::pending, 3)});
  EXPECT_EQ(failure, "");
}

}  // namespace
}  // namespace gantry::sim
