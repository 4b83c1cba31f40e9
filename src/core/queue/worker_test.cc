// Workers and task queues as they are seen; quarantine.
#include <gtest/gtest.h>

#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::TableId;
using state::TaskQueue;
using state::Worker;
using testing_world::numbered_id;
using testing_world::QueueWorld;

struct WorkerTest : testing::Test, QueueWorld {
  const WorkerName name{"prov/queue", "group", "worker"};

  std::vector<Claim> claim_and_note(int tasks_max = 1) {
    state::Transaction tx(state, now);
    auto claims = queue::claim(tx, {name.task_queue, name.group, name.id, tasks_max});
    note_activity(tx, name, claims);
    finish(tx);
    return claims;
  }
  Result<Worker> find() {
    return decide([&](state::Transaction& tx) { return find_worker(tx, name); });
  }
  Result<Worker> quarantine_until(Time until) {
    return decide([&](state::Transaction& tx) { return quarantine(tx, name, until, "flaky", "root"); });
  }
  bool wrote(TableId table) const {
    return std::ranges::any_of(writes, [&](auto& write) { return write.table == table; });
  }
};

TEST_F(WorkerTest, AWorkerIsKnownFromItsFirstClaimEvenOfNothing) {
  EXPECT_EQ(find().error().code(), ErrorCode::not_found);
  EXPECT_TRUE(claim_and_note().empty());
  Worker worker = find().value();
  EXPECT_EQ(worker.first_claim, now);
  EXPECT_EQ(worker.expires, now + worker_term);
  EXPECT_TRUE(worker.recent.empty());
  EXPECT_NE(state.table<TaskQueue>().find("prov/queue"), nullptr);
}

TEST_F(WorkerTest, ClaimsAreSeenAtOnceAndWrittenOnceAMinute) {
  TaskId first = create();
  TaskId second = create();
  claim_and_note();
  EXPECT_TRUE(wrote(TableId::worker));
  now += worker_write_interval - Duration(1);
  claim_and_note();
  EXPECT_FALSE(wrote(TableId::worker));
  Worker worker = find().value();
  ASSERT_EQ(worker.recent.size(), 2u);
  EXPECT_EQ(worker.recent[0].task, first);
  EXPECT_EQ(worker.recent[1].task, second);
  EXPECT_EQ(worker.last_active, now);
  now += Duration(1);
  create();
  claim_and_note();
  EXPECT_TRUE(wrote(TableId::worker));
  EXPECT_EQ(state.table<Worker>().find(worker.key())->record.recent.size(), 3u);
  EXPECT_EQ(find().value().recent.size(), 3u);
}

TEST_F(WorkerTest, TheNewest20TasksAreRemembered) {
  for (int i = 0; i < 25; ++i) create();
  auto claims = claim_and_note(25);
  Worker worker = find().value();
  ASSERT_EQ(worker.recent.size(), 20u);
  EXPECT_EQ(worker.recent.back().task, claims.back().task);
  EXPECT_EQ(worker.recent.front().task, claims[5].task);
}

TEST_F(WorkerTest, AQuarantineHoldsUntilItsEnd) {
  EXPECT_EQ(quarantine_until(now + minutes(1)).error().code(), ErrorCode::not_found);
  claim_and_note();
  Time until = now + days(3);
  Worker worker = quarantine_until(until).value();
  EXPECT_TRUE(wrote(TableId::worker));
  EXPECT_EQ(worker.expires, until) << "it is not forgotten before";
  ASSERT_EQ(worker.quarantine_changes.size(), 1u);
  EXPECT_EQ(worker.quarantine_changes[0].client_id, "root");
  EXPECT_EQ(worker.quarantine_changes[0].info, "flaky");
  EXPECT_TRUE(is_quarantined(state, name, until - Duration(1)));
  EXPECT_FALSE(is_quarantined(state, name, until));
  ASSERT_TRUE(quarantine_until(now - minutes(1)));
  EXPECT_FALSE(is_quarantined(state, name, now));
  EXPECT_FALSE(is_quarantined(state, {"prov/queue", "group", "nobody"}, now));
}

TEST_F(WorkerTest, QuarantineChangesAreBounded) {
  claim_and_note();
  for (std::size_t i = 0; i <= quarantine_changes_max; ++i) ASSERT_TRUE(quarantine_until(now + minutes(1)));
  EXPECT_EQ(find().value().quarantine_changes.size(), quarantine_changes_max);
}

TEST_F(WorkerTest, ADeclaredWorkerIsKnown) {
  auto declare = [&](Time expires) {
    return decide([&](state::Transaction& tx) { return declare_worker(tx, name, expires); });
  };
  EXPECT_EQ(declare(now).error().code(), ErrorCode::invalid_input);
  EXPECT_EQ(declare(now + days(2)).value().expires, now + days(2));
  EXPECT_EQ(declare(now + days(1)).value().expires, now + days(2)) << "never shortened";
  EXPECT_EQ(declare(now + days(3)).value().expires, now + days(3));
}

TEST_F(WorkerTest, AnIdleWorkerStaysKnownWhileItAsks) {
  claim_and_note();
  for (int i = 0; i < 10; ++i) {
    now += hours(11);
    claim_and_note();
    ASSERT_TRUE(find());
    EXPECT_EQ(find().value().last_active, now);
  }
  now += worker_term;
  EXPECT_FALSE(find());
}

TEST_F(WorkerTest, AQueueIsWrittenOnceADay) {
  create();
  EXPECT_TRUE(wrote(TableId::task_queue));
  now += task_queue_write_interval - Duration(1);
  create();
  EXPECT_FALSE(wrote(TableId::task_queue));
  now += Duration(1);
  create();
  EXPECT_TRUE(wrote(TableId::task_queue));
  EXPECT_EQ(state.table<TaskQueue>().find("prov/queue")->record.expires, now + days(5));
}

TEST_F(WorkerTest, WorkersAndQueuesExpire) {
  claim_and_note();
  auto expire_all = [&] {
    state::Transaction tx(state, now);
    EXPECT_FALSE(expire_workers(tx));
    EXPECT_FALSE(expire_task_queues(tx));
    finish(tx);
  };
  now += worker_term - Duration(1);
  expire_all();
  EXPECT_EQ(state.table<Worker>().size(), 1u);
  now += Duration(1);
  expire_all();
  EXPECT_EQ(state.table<Worker>().size(), 0u);
  EXPECT_EQ(state.table<TaskQueue>().size(), 1u);
  now += days(5);
  expire_all();
  EXPECT_EQ(state.table<TaskQueue>().size(), 0u);
}

}  // namespace
}  // namespace gantry::queue
