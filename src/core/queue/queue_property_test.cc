// Whatever happens in whatever order, this stays true of the queue: one live claim of a run at most; an allocation for
// each running run and no other; no node holds more than it has; a resolved run never changes; retries are counted.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::ReasonResolved;
using state::TaskState;
using testing_world::numbered_id;
using testing_world::QueueWorld;

struct Model {
  QueueWorld world;
  std::vector<NodeId> nodes = {NodeId(), world.add_node(2, 300, "a"), world.add_node(4, 1000, "b")};
  std::vector<Claim> claims;                                       // every one that was ever given out
  std::map<std::pair<TaskId, std::size_t>, std::string> resolved;  // how each ended run looked

  TaskId any_task() const { return numbered_id<TaskTag>(1000 + *rc::gen::inRange<std::uint32_t>(0, 10)); }

  void step() {
    world.now += Duration(*rc::gen::element(0, 1, 1000, 60'000, 400'000));
    switch (*rc::gen::inRange(0, 11)) {
      case 0:
      case 1:
      case 2: return create();
      case 3:
      case 4: return claim();
      case 5: return (void)world.reclaim(any_task(), *rc::gen::inRange(0, 3));
      case 6:
      case 7: return report();
      case 8: return (void)world.cancel(any_task());
      case 9: return unclaim();
      case 10: return time_passes();
      default: return;
    }
  }

  void create() {
    auto made = world.definition({.priority = static_cast<state::Priority>(*rc::gen::inRange(0, 7)),
                                  .retries = *rc::gen::inRange(0, 3),
                                  .memory_bytes = *rc::gen::element<std::int64_t>(0, 100, 250, 2000),
                                  .deadline = minutes(*rc::gen::inRange(5, 120)),
                                  .content = 0});
    (void)world.try_create(any_task(), made);
  }
  void claim() {
    std::size_t which = *rc::gen::inRange<std::size_t>(0, nodes.size());
    std::string worker = which == 0 ? "foreign" : which == 1 ? "a" : "b";
    for (auto& claim : world.claim(*rc::gen::inRange(1, 40), nodes[which], worker)) claims.push_back(claim);
  }
  void report() {
    auto reason = *rc::gen::element(ReasonResolved::completed, ReasonResolved::failed, ReasonResolved::worker_shutdown,
                                    ReasonResolved::intermittent_task, ReasonResolved::internal_error);
    (void)world.report(any_task(), *rc::gen::inRange(0, 3), reason);
  }
  void unclaim() {
    if (claims.empty()) return;
    world.unclaim(*rc::gen::elementOf(claims), *rc::gen::element<std::string>("foreign", "a", "b"));
  }
  void time_passes() {
    if (*rc::gen::arbitrary<bool>()) return world.expire();
    world.lose_node(*rc::gen::element(nodes[1], nodes[2]));
  }

  void check() {
    std::size_t running = 0;
    world.state.table<state::Task>().for_each([&](const state::Task& task) { running += check_task(task); });
    RC_ASSERT(world.state.table<state::Allocation>().size() == running);
    for (NodeId node : nodes) check_node(node);
  }

  std::size_t check_task(const state::Task& task) {
    std::size_t running = 0;
    int retried = 0;
    for (std::size_t i = 0; i < task.runs.size(); ++i) {
      const state::Run& run = task.runs[i];
      bool last = i + 1 == task.runs.size();
      RC_ASSERT(last || run.state == TaskState::exception);
      if (!last) ++retried;
      if (run.state == TaskState::running) {
        ++running;
        RC_ASSERT(world.state.table<state::Allocation>().find({task.id, static_cast<int>(i)}) != nullptr);
        RC_ASSERT(!run.worker_id.empty());
      }
      if (wire::is_resolved(run.state)) check_resolved(task, i);
    }
    RC_ASSERT(task.retries_left == task.retries - retried);
    RC_ASSERT(task.retries_left >= 0);
    RC_ASSERT(static_cast<int>(task.runs.size()) <= std::min(task.retries + 1, runs_max));
    return running;
  }

  void check_resolved(const state::Task& task, std::size_t run) {
    state::Task alone = task;
    alone.runs = {task.runs[run]};
    alone.retries_left = 0;
    std::string now = encode(alone);
    auto [known, fresh] = resolved.emplace(std::pair(task.id, run), now);
    RC_ASSERT(fresh || known->second == now);
  }

  void check_node(NodeId id) {
    if (id.empty()) return;
    const state::Node& node = world.state.table<state::Node>().find(id)->record;
    std::int64_t memory_bytes = 0;
    for (const auto& allocation : world.state.allocations_on(id)) {
      const state::Task& task = world.task(allocation.task);
      RC_ASSERT(task.runs.at(static_cast<std::size_t>(allocation.run)).state == TaskState::running);
      memory_bytes += task.memory_bytes;
    }
    RC_ASSERT(world.state.allocations_on(id).size() <= static_cast<std::size_t>(node.slots));
    RC_ASSERT(memory_bytes <= node.memory_bytes);
  }
};

RC_GTEST_PROP(Queue, KeepsItsPromisesWhateverHappens, ()) {
  Model model;
  int steps = *rc::gen::inRange(1, 120);
  for (int i = 0; i < steps; ++i) {
    model.step();
    model.check();
  }
  // In the end, time resolves everything.
  model.world.now += hours(3);
  model.world.expire();
  model.check();
  RC_ASSERT(model.world.state.pending_lines().empty());
  RC_ASSERT(model.world.state.table<state::Allocation>().size() == 0u);
  RC_ASSERT(model.world.state.deadlines().empty());
  RC_ASSERT(model.world.state.claims().empty());
}

}  // namespace
}  // namespace gantry::queue
