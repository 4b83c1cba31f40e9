// Whatever happens in whatever order, this stays true of the queue: one live claim of a run at most; an allocation for
// each running run and no other; no node holds more than it has; a resolved run never changes; retries are counted;
// what waits is told and pulls (check_state); an undone decision leaves no trace.
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
    switch (*rc::gen::inRange(0, 19)) {
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
      case 11:
      case 12: return (void)world.rerun(any_task());
      case 13: return (void)world.schedule(any_task());
      case 14: return change_group();
      case 15: return change_priority();
      case 16: return resolve_next();
      case 17:
      case 18: return (void)world.work();
      default: return;
    }
  }

  void create() {
    auto made = world.definition({.priority = static_cast<state::Priority>(*rc::gen::inRange(0, 7)),
                                  .retries = *rc::gen::inRange(0, 3),
                                  .memory_bytes = *rc::gen::element<std::int64_t>(0, 100, 250, 2000),
                                  .deadline = minutes(*rc::gen::inRange(5, 120)),
                                  .content = 0});
    TaskId id = any_task();
    made.group = *rc::gen::element(id, numbered_id<TaskTag>(1), any_task());
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
      TaskId on = any_task();
      if (std::ranges::find(made.dependencies, on) == made.dependencies.end()) made.dependencies.push_back(on);
    }
    std::erase_if(made.dependencies, [&](TaskId on) {
      return !world.state.table<state::Task>().find(on) && (on != id || *rc::gen::inRange(0, 8) > 0);
    });
    made.any_outcome = *rc::gen::arbitrary<bool>();
    auto start = *rc::gen::inRange(0, 8) ? Start::when_ready : Start::when_scheduled;
    std::string before = testing_world::dump(world.state);
    if (*rc::gen::inRange(0, 4) == 0) {  // undone
      {
        state::Transaction tx(world.state, world.now);
        (void)queue::create(tx, id, made, start);
      }
      RC_ASSERT(testing_world::dump(world.state) == before);
    }
    if (!world.try_create(id, made, start)) RC_ASSERT(testing_world::dump(world.state) == before);
  }
  void change_group() {
    TaskGroupId group = *rc::gen::element(numbered_id<TaskTag>(1), any_task());
    int what = *rc::gen::inRange(0, 6);
    (void)world.decide([&](state::Transaction& tx) -> Result<void> {
      if (what == 0) return QueueWorld::done(seal_group(tx, group));
      if (what == 1) return QueueWorld::done(cancel_group(tx, group));
      if (what == 2) return QueueWorld::done(change_group_priority(tx, group, any_priority()));
      return QueueWorld::done(set_group_pulls(tx, group, what != 3));
    });
  }
  static state::Priority any_priority() { return static_cast<state::Priority>(*rc::gen::inRange(0, 7)); }
  void change_priority() {
    TaskId id = any_task();
    (void)world.decide([&](state::Transaction& tx) { return queue::change_priority(tx, id, any_priority()); });
  }
  void resolve_next() {
    auto claimed = world.claim(1, {}, "foreign");
    if (!claimed.empty()) (void)world.report(claimed[0].task, claimed[0].run, ReasonResolved::completed);
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
    RC_ASSERT(state::check_state(world.state).value_or("") == "");
  }

  std::size_t check_task(const state::Task& task) {
    std::size_t running = 0;
    for (std::size_t i = 0; i < task.runs.size(); ++i) {
      const state::Run& run = task.runs[i];
      bool last = i + 1 == task.runs.size();
      RC_ASSERT(last || wire::is_resolved(run.state));
      if (run.state == TaskState::running) {
        ++running;
        RC_ASSERT(world.state.table<state::Allocation>().find({task.id, static_cast<int>(i)}) != nullptr);
        RC_ASSERT(!run.worker_id.empty());
      }
      if (wire::is_resolved(run.state)) check_resolved(task, i);
    }
    RC_ASSERT(task.retries_left >= 0);
    return running;
  }

  void check_resolved(const state::Task& task, std::size_t run) {
    state::Task alone = task;
    alone.runs = {task.runs[run]};
    alone.retries_left = 0;
    alone.priority = alone.pulled = state::Priority::lowest;
    alone.pulls = false;
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
  model.world.work();
  model.check();
  RC_ASSERT(model.world.state.pending_lines().empty());
  RC_ASSERT(model.world.state.table<state::Allocation>().size() == 0u);
  RC_ASSERT(model.world.state.deadlines().empty());
  RC_ASSERT(model.world.state.claims().empty());
  RC_ASSERT(!has_work(model.world.state));
}

}  // namespace
}  // namespace gantry::queue
