// For tests: a state with a queue in it, whose time moves when the test says so. Each call is a transaction of its own.
#pragma once

#include <map>

#include <gtest/gtest.h>

#include "core/grid/node.h"
#include "core/queue/artifact.h"
#include "core/queue/claim.h"
#include "core/queue/create.h"
#include "core/queue/expire.h"
#include "core/queue/explain.h"
#include "core/queue/group.h"
#include "core/queue/limits.h"
#include "core/queue/priority.h"
#include "core/queue/resolve.h"
#include "core/queue/schedule.h"
#include "core/queue/work.h"
#include "core/queue/worker.h"
#include "core/state/check.h"
#include "core/state/codec.h"

namespace gantry::testing_world {

template <class Tag>
SlugId<Tag> numbered_id(std::uint32_t number) {
  std::array<std::uint8_t, 16> bytes{};
  for (int i = 0; i < 4; ++i) bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  bytes[6] = 0x40;
  bytes[8] = 0x80;
  return SlugId<Tag>::from_bytes(bytes);
}

/// Every record and every index as text, so that two states can be compared.
inline std::string dump(const state::State& state) {
  std::map<std::string, std::string> lines;
  state.table<state::Task>().for_each([&](const state::Task& task) {
    std::string id = task.id.to_string();
    lines["task " + id] =
        std::to_string(task.sequence) + encode(task) + (state.artifacts_loaded(task.id) ? " all" : "");
    for (const auto& [run, name] : state.artifacts_of(task.id))
      lines["names " + id] += std::to_string(run) + "/" + name + " ";
  });
  state.table<state::Artifact>().for_each([&](const state::Artifact& artifact) {
    lines["artifact " + artifact.id.task.to_string() + state::artifact_key_name(artifact.id.run, artifact.id.name)] =
        encode(artifact);
  });
  state.table<state::Allocation>().for_each([&](const state::Allocation& allocation) {
    lines["allocation " + allocation.id.task.to_string() + std::to_string(allocation.id.run)] = encode(allocation);
  });
  state.table<state::Node>().for_each([&](const state::Node& node) {
    std::string id = node.id.to_string();
    lines["node " + id] = encode(node);
    for (const auto& allocation : state.allocations_on(node.id)) lines["on " + id] += allocation.task.to_string() + " ";
    lines["worker " + id] = state.node_of_worker(node.worker_group, node.worker_id).to_string();
    lines["native " + id] = state.is_native_queue(node.task_queue) ? "yes" : "no";
  });
  state.table<state::Task>().for_each([&](const state::Task& task) {
    for (TaskId id : {task.id, task.group}) {
      std::string& dependents = lines["dependents " + id.to_string()];
      std::string& open = lines["open in " + id.to_string()];
      dependents.clear();
      open.clear();
      for (const auto& [sequence, other] : state.dependents_of(id)) dependents += other.to_string() + " ";
      for (const auto& [sequence, other] : state.open_in_group(id)) open += other.to_string() + " ";
    }
  });
  state::AllRecords::for_each([&]<class Record>() {
    if constexpr (state::PlainRecord<Record>) {
      state.table<Record>().for_each([&](const Record& record) {
        state::Key key = Record::store_key(record.key());
        lines[std::to_string(static_cast<int>(Record::table_id)) + ":" + std::to_string(key.sequence) + key.name] =
            encode(record);
      });
    }
  });
  for (std::uint64_t work : state.works()) lines["works"] += std::to_string(work) + " ";
  for (const auto& [queue, line] : state.pending_lines()) {
    for (const auto& entry : line) {
      lines["pending " + queue] +=
          std::to_string(entry.rank) + ":" + std::to_string(entry.sequence) + entry.task.to_string() + " ";
    }
  }
  for (const auto& [at, id] : state.deadlines()) lines["deadlines"] += format_time(at) + id.to_string() + " ";
  for (const auto& [at, id] : state.claims()) lines["claims"] += format_time(at) + id.to_string() + " ";
  std::string text;
  for (const auto& [key, value] : lines) text.append(key).append(": ").append(value).append("\n");
  return text;
}

struct TaskOptions {
  std::string queue = "prov/queue";
  state::Priority priority = state::Priority::lowest;
  int retries = 5;
  std::int64_t memory_bytes = 0;
  Duration deadline = hours(1);
  std::uint8_t content = 0;  // different: another definition
  std::vector<TaskId> dependencies{};
  bool any_outcome = false;
  TaskGroupId group{};  // empty: its own
  std::string scheduler = "-";
};

struct QueueWorld {
  state::State state;
  Time now = time_from_ms(1'795'132'800'000);
  Time listening_since = now - hours(24);
  std::vector<state::Change> changes;  // of the last transaction
  std::vector<state::Write> writes;
  std::uint32_t last_id = 0;

  void finish(state::Transaction& tx, bool keep = true) {
    changes.clear();
    writes.clear();
    if (!keep) {
      tx.abandon();
      return;
    }
    state::Staged staged = tx.take();
    changes = staged.changes;
    writes = staged.writes;
  }

  wire::TaskDefinition definition(const TaskOptions& options) const {
    wire::TaskDefinition made;
    made.task_queue = options.queue;
    made.priority = options.priority;
    made.retries = options.retries;
    made.memory_bytes = options.memory_bytes;
    made.created = now;
    made.deadline = now + options.deadline;
    made.expires = made.deadline + days(1);
    made.group = options.group.empty() ? numbered_id<TaskTag>(1) : options.group;
    made.dependencies = options.dependencies;
    made.any_outcome = options.any_outcome;
    made.scheduler = options.scheduler;
    made.canonical = "{}";
    made.digest[0] = options.content;
    return made;
  }

  /// One decision: undone, as the server does, if it is an error.
  template <class Act>
  auto decide(Act act) -> decltype(act(std::declval<state::Transaction&>())) {
    state::Transaction tx(state, now);
    auto result = act(tx);
    finish(tx, result.has_value());
    return result;
  }
  template <class T>
  static Result<void> done(const Result<T>& result) {
    if (!result) return result.error();
    return success();
  }
  Result<void> try_create(TaskId id, const wire::TaskDefinition& made, queue::Start start = queue::Start::when_ready) {
    return done(decide([&](state::Transaction& tx) { return queue::create(tx, id, made, start); }));
  }
  TaskId create(const TaskOptions& options = {}) {
    TaskId id = numbered_id<TaskTag>(++last_id);
    auto made = definition(options);
    if (options.group.empty()) made.group = id;
    auto created = try_create(id, made);
    EXPECT_TRUE(created) << created.error().message();
    return id;
  }
  /// Steps of larger work until none is left; how many there were.
  int work() {
    int steps = 0;
    for (bool more = queue::has_work(state); more; ++steps) {
      state::Transaction tx(state, now);
      more = queue::continue_work(tx);
      finish(tx);
      EXPECT_LT(steps, 10'000);
    }
    return steps;
  }
  Result<void> schedule(TaskId id) {
    return done(decide([&](state::Transaction& tx) { return queue::schedule(tx, id); }));
  }
  Result<void> rerun(TaskId id) {
    return done(decide([&](state::Transaction& tx) { return queue::rerun(tx, id); }));
  }
  /// Claims exactly this run and reports it.
  void resolve(TaskId id, state::ReasonResolved reason = state::ReasonResolved::completed) {
    int run = static_cast<int>(task(id).runs.size()) - 1;
    EXPECT_TRUE(
        done(decide([&](state::Transaction& tx) { return queue::claim_run(tx, id, run, {"", "group", "worker"}); })));
    EXPECT_TRUE(report(id, run, reason));
  }

  std::vector<queue::Claim> claim(int tasks_max = 1, NodeId node = {}, const std::string& worker = "worker",
                                  const std::string& task_queue = "prov/queue") {
    state::Transaction tx(state, now);
    auto claims = queue::claim(tx, {task_queue, "group", worker, tasks_max, node});
    finish(tx);
    return claims;
  }
  std::vector<TaskId> claimed_ids(int tasks_max, NodeId node = {}) {
    std::vector<TaskId> ids;
    for (const auto& claim : claim(tasks_max, node)) ids.push_back(claim.task);
    return ids;
  }
  void unclaim(const queue::Claim& claim, const std::string& worker = "worker") {
    state::Transaction tx(state, now);
    queue::unclaim(tx, claim, "group", worker);
    finish(tx);
  }
  Result<Time> reclaim(TaskId id, int run) {
    state::Transaction tx(state, now);
    auto until = queue::reclaim(tx, id, run);
    finish(tx, until.has_value());
    return until;
  }
  Result<void> report(TaskId id, int run, state::ReasonResolved reason) {
    state::Transaction tx(state, now);
    auto task = queue::report(tx, id, run, {reason, {}});
    finish(tx, task.has_value());
    if (!task) return task.error();
    return success();
  }
  Result<void> cancel(TaskId id) {
    state::Transaction tx(state, now);
    auto task = queue::cancel(tx, id);
    finish(tx, task.has_value());
    if (!task) return task.error();
    return success();
  }
  void expire() {
    for (bool more = true; more;) {
      state::Transaction tx(state, now);
      more = queue::expire_deadlines(tx) || queue::expire_claims(tx, listening_since);
      finish(tx);
    }
  }
  NodeId add_node(int slots, std::int64_t memory_bytes, const std::string& worker = "worker") {
    state::Node node;
    node.id = numbered_id<NodeTag>(++last_id);
    node.name = worker;
    node.task_queue = "prov/queue";
    node.worker_group = "group";
    node.worker_id = worker;
    node.slots = slots;
    node.memory_bytes = memory_bytes;
    state::Transaction tx(state, now);
    EXPECT_TRUE(grid::register_node(tx, node));
    finish(tx);
    return node.id;
  }
  void lose_node(NodeId node) {
    state::Transaction tx(state, now);
    while (queue::expire_node(tx, node)) {
    }
    finish(tx);
  }

  const state::Task& task(TaskId id) const { return state.table<state::Task>().find(id)->record; }
  /// "exception claim-expired, pending retry": every run's state with why it ended, or else why it was made.
  std::string runs(TaskId id) const {
    std::string text;
    for (const state::Run& run : task(id).runs) {
      if (!text.empty()) text += ", ";
      text += name_of(run.state);
      text += " ";
      text += run.reason_resolved == state::ReasonResolved::none ? name_of(run.reason_created)
                                                                 : name_of(run.reason_resolved);
    }
    return text;
  }
  bool changed(state::Change::Kind kind) const {
    return std::ranges::any_of(changes, [&](const state::Change& change) { return change.kind == kind; });
  }
};

}  // namespace gantry::testing_world
