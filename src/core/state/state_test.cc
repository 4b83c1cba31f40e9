#include "core/state/state.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/testing/queue_world.h"

namespace gantry::state {
namespace {

using testing_world::dump;
using testing_world::numbered_id;
using testing_world::QueueWorld;

queue::ArtifactRequest an_artifact(TaskId task, std::string name, Time expires) {
  queue::ArtifactRequest request;
  request.id = {task, 0, std::move(name)};
  request.content_type = "text/plain";
  request.expires = expires;
  return request;
}

TEST(Transaction, ChangesTheStateAtOnceAndUndoesItIfItIsDropped) {
  QueueWorld world;
  TaskId id = world.create();
  std::string before = dump(world.state);
  {
    Transaction tx(world.state, world.now);
    EXPECT_EQ(queue::claim(tx, {"prov/queue", "group", "worker", 1, {}}).size(), 1u);
    EXPECT_EQ(world.runs(id), "running scheduled");
  }
  EXPECT_EQ(dump(world.state), before);
}

TEST(Transaction, WithoutAChangeNoCommitIsUsedUp) {
  QueueWorld world;
  world.create();
  std::uint64_t commit = world.state.last_commit();
  Transaction tx(world.state, world.now + hours(5));
  EXPECT_TRUE(tx.find<Task>(numbered_id<TaskTag>(1)));
  Staged staged = tx.take();
  EXPECT_EQ(staged.sequence, 0u);
  EXPECT_EQ(staged.read_version, commit);
  EXPECT_EQ(world.state.last_commit(), commit);
  EXPECT_EQ(world.state.last_time(), world.now);
}

TEST(Transaction, TimeNeverRunsBack) {
  QueueWorld world;
  world.create();
  Transaction tx(world.state, world.now - hours(1));
  EXPECT_EQ(tx.now(), world.now);
}

TEST(Transaction, AReadKnowsTheCommitThatItSaw) {
  QueueWorld world;
  TaskId first = world.create();
  std::uint64_t first_commit = world.state.last_commit();
  world.create();
  Transaction hit(world.state, world.now);
  hit.find<Task>(first);
  EXPECT_EQ(hit.take().read_version, first_commit);
  Transaction miss(world.state, world.now);
  EXPECT_FALSE(miss.find<Task>(numbered_id<TaskTag>(99)));
  EXPECT_EQ(miss.take().read_version, world.state.last_commit()) << "a miss has read the whole table";
}

TEST(Transaction, WritesMoveATaskFromOpenToResolved) {
  QueueWorld world;
  TaskId id = world.create();
  auto written = [&] {
    std::string text;
    for (const Write& write : world.writes)
      text += std::string(write.value ? "+" : "-") + tables[static_cast<int>(write.table)].name + " ";
    return text;
  };
  EXPECT_EQ(written(), "+definition +task_queue +task_id +open_task ");
  world.claim();
  EXPECT_EQ(written(), "+allocation +open_task ");
  EXPECT_TRUE(world.report(id, 0, ReasonResolved::completed));
  EXPECT_EQ(written(), "-open_task +resolved_task -allocation ");
}

TEST(Transaction, BoundsItsOperations) {
  State state;
  Transaction tx(state, time_from_ms(0));
  EXPECT_TRUE(tx.has_room(operations_max));
  EXPECT_FALSE(tx.has_room(operations_max + 1));
}

TEST(Transaction, BoundsItsBytes) {
  QueueWorld world;
  TaskId first = world.create();
  TaskId second = world.create();
  Transaction tx(world.state, world.now);
  EXPECT_TRUE(tx.has_room(1, 10 * bytes_max)) << "the first unit always fits";
  auto grow = [&](TaskId id, std::size_t bytes) {
    tx.update<Task>(id, [&](Task& task) { task.unknown_fields = ",\"x\":\"" + std::string(bytes, 'x') + "\""; });
  };
  grow(first, 300'000);
  EXPECT_TRUE(tx.has_room(1, 200'000));
  EXPECT_FALSE(tx.has_room(1, 300'000));
  grow(second, 200'000);
  EXPECT_TRUE(tx.has_room(1));
  EXPECT_FALSE(tx.has_room(1, 100'000));
  tx.put_definition(99, std::make_shared<const std::string>(std::string(100'000, 'x')));
  EXPECT_FALSE(tx.has_room(1));
}

TEST(State, AFailedCommitIsUndoneNewestFirst) {
  QueueWorld world;
  world.create();
  std::string before = dump(world.state);
  Transaction claim(world.state, world.now);
  queue::claim(claim, {"prov/queue", "group", "worker", 1, {}});
  Staged first = claim.take();
  Transaction report(world.state, world.now);
  ASSERT_TRUE(queue::report(report, numbered_id<TaskTag>(1), 0, {}));
  Staged second = report.take();
  Transaction::undo(world.state, std::move(second.undo));
  Transaction::undo(world.state, std::move(first.undo));
  EXPECT_EQ(dump(world.state), before);
}

TEST(State, ForgetsTheOldestResolvedTasksWithTheirArtifacts) {
  QueueWorld world;
  std::vector<TaskId> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(world.create());
    world.claim();
    Transaction tx(world.state, world.now);
    ASSERT_TRUE(queue::create_artifact(tx, an_artifact(ids.back(), "a", world.now + minutes(5))));
    world.finish(tx);
    ASSERT_TRUE(world.report(ids.back(), 0, ReasonResolved::completed));
  }
  TaskId open = world.create();
  world.state.forget_resolved(2, world.state.last_commit());
  EXPECT_EQ(world.state.resolved_in_memory(), 2u);
  EXPECT_FALSE(world.state.table<Task>().find(ids[2]));
  EXPECT_TRUE(world.state.table<Task>().find(ids[3]));
  EXPECT_TRUE(world.state.table<Task>().find(open));
  EXPECT_EQ(world.state.table<Artifact>().size(), 2u);
}

TEST(State, KeepsWhatIsNotDurableYet) {
  QueueWorld world;
  TaskId id = world.create();
  world.claim();
  std::uint64_t durable = world.state.last_commit();
  ASSERT_TRUE(world.report(id, 0, ReasonResolved::completed));
  world.state.forget_resolved(0, durable);
  EXPECT_TRUE(world.state.table<Task>().find(id));
  world.state.forget_resolved(0, world.state.last_commit());
  EXPECT_FALSE(world.state.table<Task>().find(id));
}

TEST(State, ALoadedTaskHasItsArtifactsLoadedOnlyOnceSomebodySaysSo) {
  QueueWorld world;
  Task task;
  task.id = numbered_id<TaskTag>(1);
  world.state.load(task);
  EXPECT_FALSE(world.state.artifacts_loaded(task.id));
  world.state.mark_artifacts_loaded(task.id);
  EXPECT_TRUE(world.state.artifacts_loaded(task.id));
}

/// One random decision inside a transaction.
void random_step(QueueWorld& world, Transaction& tx, const std::vector<NodeId>& nodes) {
  auto pick = [&] { return numbered_id<TaskTag>(100 + *rc::gen::inRange<std::uint32_t>(0, 12)); };
  switch (*rc::gen::inRange(0, 11)) {
    case 0:
    case 1: {
      auto definition = world.definition(
          {.priority = static_cast<Priority>(*rc::gen::inRange(0, 7)), .retries = 1, .memory_bytes = 100});
      if (*rc::gen::inRange(0, 2)) definition.dependencies = {pick()};
      if (*rc::gen::inRange(0, 2)) definition.group = pick();
      definition.any_outcome = *rc::gen::arbitrary<bool>();
      auto made = queue::create(tx, pick(), definition);  // its dependency may not exist
      RC_ASSERT(made.has_value() || !definition.dependencies.empty() || tx.find<Group>(definition.group));
      return;
    }
    case 7: (void)queue::rerun(tx, pick()); return;
    case 8: (void)queue::set_group_pulls(tx, pick(), *rc::gen::arbitrary<bool>()); return;
    case 9: (void)queue::schedule(tx, pick()); return;
    case 10: (void)queue::change_priority(tx, pick(), static_cast<Priority>(*rc::gen::inRange(0, 7))); return;
    case 2:
    case 3:
      queue::claim(tx, {"prov/queue", "group", "worker", *rc::gen::inRange(1, 4), *rc::gen::elementOf(nodes)});
      return;
    case 4:
      (void)queue::report(tx, pick(), *rc::gen::inRange(0, 2),
                          {*rc::gen::element(ReasonResolved::completed, ReasonResolved::worker_shutdown), {}});
      return;
    case 5: (void)queue::cancel(tx, pick()); return;
    case 6:
      (void)queue::create_artifact(tx,
                                   an_artifact(pick(), std::string(1, static_cast<char>('a' + *rc::gen::inRange(0, 3))),
                                               world.now + minutes(30)));
      return;
    default: return;
  }
}

RC_GTEST_PROP(State, UndoRestoresEveryRecordAndEveryIndex, ()) {
  QueueWorld world;
  std::vector<NodeId> nodes = {NodeId(), world.add_node(3, 1000, "worker"), world.add_node(1, 100, "other")};
  std::vector<std::pair<std::string, UndoLog>> history;
  int transactions = *rc::gen::inRange(1, 20);
  for (int i = 0; i < transactions; ++i) {
    std::string before = dump(world.state);
    Transaction tx(world.state, world.now);
    int steps = *rc::gen::inRange(1, 5);
    for (int step = 0; step < steps; ++step) random_step(world, tx, nodes);
    if (*rc::gen::inRange(0, 4) == 0) {
      tx.abandon();
      RC_ASSERT(dump(world.state) == before);
    } else {
      history.emplace_back(before, std::move(tx.take().undo));
    }
  }
  for (auto entry = history.rbegin(); entry != history.rend(); ++entry) {
    Transaction::undo(world.state, std::move(entry->second));
    RC_ASSERT(dump(world.state) == entry->first);
  }
}

RC_GTEST_PROP(State, LoadingWhatWasWrittenGivesTheSameState, ()) {
  QueueWorld world;
  std::vector<NodeId> nodes = {NodeId(), world.add_node(3, 1000, "worker")};
  std::map<std::pair<TableId, Key>, Value> disk;
  auto store = [&](const std::vector<Write>& writes) {
    for (const Write& write : writes) {
      if (write.value) {
        disk[{write.table, write.key}] = write.value;
      } else {
        disk.erase({write.table, write.key});
      }
    }
  };
  store(world.writes);
  int transactions = *rc::gen::inRange(1, 30);
  for (int i = 0; i < transactions; ++i) {
    Transaction tx(world.state, world.now);
    random_step(world, tx, nodes);
    store(tx.take().writes);
  }
  State loaded;
  for (const auto& [place, value] : disk) {
    const auto& [table, key] = place;
    if (table == TableId::open_task || table == TableId::resolved_task) {
      Task task = value_or_throw(decode_task(key.sequence, *value));
      RC_ASSERT(task.resolved() == (table == TableId::resolved_task));
      TaskId id = task.id;
      if (task.waits) {
        auto waits = std::make_shared<Waits>(*task.waits);
        waits->on = world.task(id).waits->on;  // it is in the definition
        task.waits = std::move(waits);
      }
      loaded.load(std::move(task));
      loaded.mark_artifacts_loaded(id);
    }
    if (table == TableId::artifact) loaded.load(value_or_throw(decode_artifact(key.sequence, *value)));
    if (table == TableId::allocation) loaded.load(value_or_throw(decode_allocation(key.sequence, *value)));
    if (table == TableId::node) loaded.load(value_or_throw(decode_node(*value)));
    AllRecords::for_each([&]<class Record>() {
      if constexpr (PlainRecord<Record>) {
        if (table == Record::table_id) loaded.load(value_or_throw(decode<Record>(key, *value)));
      }
    });
  }
  RC_ASSERT(dump(loaded) == dump(world.state));
}

}  // namespace
}  // namespace gantry::state
