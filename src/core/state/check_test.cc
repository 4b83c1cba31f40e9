#include "core/state/check.h"

#include <gtest/gtest.h>

namespace gantry::state {
namespace {

Task running_task() {
  Task task;
  std::array<std::uint8_t, 16> bytes{1};
  task.id = TaskId::from_bytes(bytes);
  task.sequence = 7;
  task.task_queue = "pool/type";
  task.retries = task.retries_left = 3;
  task.deadline = time_from_ms(10'000);
  Run run;
  run.state = TaskState::running;
  run.worker_group = "group";
  run.worker_id = "worker";
  run.taken_until = time_from_ms(5'000);
  task.runs.push_back(run);
  return task;
}

Allocation allocation_of(const Task& task) {
  Allocation allocation;
  allocation.id = {task.id, 0};
  allocation.task_sequence = task.sequence;
  allocation.worker = "group/worker";
  return allocation;
}

TEST(CheckState, AcceptsWhatFitsTogether) {
  State state;
  EXPECT_EQ(check_state(state), std::nullopt);
  Task task = running_task();
  state.load(task);
  state.load(allocation_of(task));
  EXPECT_EQ(check_state(state), std::nullopt);
}

TEST(CheckState, MissesAnAllocation) {
  State state;
  state.load(running_task());
  EXPECT_NE(check_state(state).value_or("").find("without an allocation"), std::string::npos);
}

TEST(CheckState, FindsAnAllocationOfNoRun) {
  State state;
  Task task = running_task();
  Allocation allocation = allocation_of(task);
  allocation.id.run = 1;
  state.load(task);
  state.load(allocation);
  EXPECT_NE(check_state(state).value_or("").find("which does not run"), std::string::npos);
}

TEST(CheckState, KnowsWhichRunsMayHaveAClaim) {
  auto problem_of = [](auto change) {
    State state;
    Task task = running_task();
    change(task.runs.back());
    state.load(task);
    if (!task.resolved() && task.state() == TaskState::running) state.load(allocation_of(task));
    return check_state(state).value_or("");
  };
  auto resolve = [](state::Run& run) {
    run.state = TaskState::failed;
    run.reason_resolved = ReasonResolved::failed;
    run.resolved = time_from_ms(4'000);
  };
  EXPECT_EQ(problem_of(resolve), "") << "it is kept, and is in no index";
  EXPECT_NE(problem_of([](state::Run& run) { run.taken_until = Time(); }).find("runs without a claim"),
            std::string::npos);
  auto pend = [](state::Run& run) {
    run.state = TaskState::pending;
    run.worker_id.clear();
  };
  EXPECT_NE(problem_of(pend), "");
  auto forget_worker = [&](state::Run& run) {
    resolve(run);
    run.worker_id.clear();
  };
  EXPECT_NE(problem_of(forget_worker).find("of no worker"), std::string::npos);
}

TEST(CheckState, FindsRetriesThatAreCountedWrong) {
  State state;
  Task task = running_task();
  task.retries_left = 2;
  state.load(task);
  state.load(allocation_of(task));
  EXPECT_NE(check_state(state).value_or("").find("2 retries left"), std::string::npos);
}

}  // namespace
}  // namespace gantry::state
