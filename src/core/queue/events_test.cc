// The messages of each exchange, as consumers of Taskcluster's pulse know them (taskcluster.md 2.11).
#include "core/queue/events.h"

#include <gtest/gtest.h>

namespace gantry::queue {
namespace {

using state::Change;
using Kind = state::Change::Kind;

const Time now = time_from_ms(1'795'132'800'000);
const TaskId task_id = *TaskId::parse("fN1SbArXTPSVFNUvaOlinQ");
const TaskId other_id = *TaskId::parse("AAAAAAAAQACAAAAAAAAAAA");
const TaskGroupId group_id = *TaskGroupId::parse("VM1A8fkZS_GGm8BvIwLxXg");

struct EventsTest : testing::Test {
  EventsTest() {
    state.load(task(task_id));
    state.load(task(other_id));
    state::Group group;
    group.id = group_id;
    group.scheduler = "sched";
    group.expires = now + days(9);
    state.load(group);
  }

  static state::Task task(TaskId id) {
    state::Task made;
    made.id = id;
    made.sequence = id == task_id ? 1 : 2;
    made.task_queue = "prov/queue";
    made.scheduler = "sched";
    made.project = "none";
    made.group = group_id;
    made.retries = made.retries_left = 5;
    made.deadline = now + hours(1);
    made.expires = now + days(1);
    state::Run run;
    run.scheduled = now;
    made.runs.push_back(run);
    return made;
  }
  /// Changes the task as if by a decision.
  template <class Mutate>
  void change(Mutate mutate) {
    state::Transaction tx(state, now);
    tx.update<state::Task>(task_id, mutate);
    tx.take();
  }
  static void claimed(state::Task& task) {
    state::Run& run = task.runs.back();
    run.state = state::TaskState::running;
    run.worker_group = "wg";
    run.worker_id = "wid";
    run.started = now;
    run.taken_until = now + minutes(20);
  }
  static void ended(state::Task& task, state::TaskState outcome, state::ReasonResolved reason) {
    state::Run& run = task.runs.back();
    run.state = outcome;
    run.reason_resolved = reason;
    run.resolved = now;
  }

  std::vector<EventRow> rows_of(std::vector<Change> changes) {
    state::Transaction tx(state, now);
    for (Change& change : changes) tx.add_change(std::move(change));
    std::vector<EventRow> rows;
    add_event_rows(tx, rows);
    state::Staged staged = tx.take();
    EXPECT_EQ(staged.writes.size(), rows.size());
    return rows;
  }
  std::vector<wire::PulseMessage> messages(std::vector<Change> changes) {
    std::vector<wire::PulseMessage> all;
    for (const EventRow& row : rows_of(std::move(changes))) {
      auto some = value_or_throw(messages_of(row.first, *row.value));
      EXPECT_EQ(some.size(), row.count);
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  wire::PulseMessage message(Change change) {
    auto all = messages({std::move(change)});
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? wire::PulseMessage() : all[0];
  }

  state::State state;
};

// Written out once; the other bodies are compared around it.
const std::string status_head =
    R"({"taskId":"fN1SbArXTPSVFNUvaOlinQ","provisionerId":"prov","workerType":"queue","taskQueueId":"prov/queue",)"
    R"("schedulerId":"sched","projectId":"none","taskGroupId":"VM1A8fkZS_GGm8BvIwLxXg","priority":"lowest",)"
    R"("deadline":"2026-11-20T01:00:00.000Z","expires":"2026-11-21T00:00:00.000Z","retriesLeft":5,)";
const std::string pending_status =
    status_head +
    R"("state":"pending","runs":[{"runId":0,"state":"pending","reasonCreated":"scheduled","scheduled":"2026-11-20T00:00:00.000Z"}]})";
const std::string running_status =
    status_head +
    R"("state":"running","runs":[{"runId":0,"state":"running","reasonCreated":"scheduled","workerGroup":"wg","workerId":"wid","takenUntil":"2026-11-20T00:20:00.000Z","scheduled":"2026-11-20T00:00:00.000Z","started":"2026-11-20T00:00:00.000Z"}]})";
const std::string any_worker_key = "primary.fN1SbArXTPSVFNUvaOlinQ.0.wg.wid.prov.queue.sched.VM1A8fkZS_GGm8BvIwLxXg._";

TEST_F(EventsTest, Defined) {
  auto defined = message({Kind::task_defined, task_id});
  EXPECT_EQ(exchange_of(defined.kind), "exchange/taskcluster-queue/v1/task-defined");
  EXPECT_EQ(defined.routing_key, "primary.fN1SbArXTPSVFNUvaOlinQ._._._.prov.queue.sched.VM1A8fkZS_GGm8BvIwLxXg._");
  // It is pending already, but that is what the next event tells.
  EXPECT_EQ(defined.body,
            R"({"version":1,"status":)" + status_head + R"("state":"unscheduled","runs":[]},"task":{"tags":{}}})");
  EXPECT_EQ(defined.task, task_id);
  EXPECT_EQ(defined.group, group_id);
  EXPECT_EQ(defined.task_queue, "prov/queue");
  EXPECT_EQ(defined.at, now);
}

TEST_F(EventsTest, Pending) {
  auto pending = message({Kind::task_pending, task_id, 0});
  EXPECT_EQ(exchange_of(pending.kind), "exchange/taskcluster-queue/v1/task-pending");
  EXPECT_EQ(pending.routing_key, "primary.fN1SbArXTPSVFNUvaOlinQ.0._._.prov.queue.sched.VM1A8fkZS_GGm8BvIwLxXg._");
  EXPECT_EQ(pending.body, R"({"version":1,"status":)" + pending_status + R"(,"runId":0,"task":{"tags":{}}})");
}

TEST_F(EventsTest, Running) {
  change(claimed);
  auto running = message({Kind::task_running, task_id, 0});
  EXPECT_EQ(exchange_of(running.kind), "exchange/taskcluster-queue/v1/task-running");
  EXPECT_EQ(running.routing_key, any_worker_key);
  EXPECT_EQ(
      running.body,
      R"({"version":1,"status":)" + running_status +
          R"(,"runId":0,"workerGroup":"wg","workerId":"wid","takenUntil":"2026-11-20T00:20:00.000Z","task":{"tags":{}}})");
}

TEST_F(EventsTest, OutcomesGoToTheirOwnExchanges) {
  struct Case {
    state::TaskState outcome;
    state::ReasonResolved reason;
    std::string exchange;
  };
  for (const Case& each :
       {Case{state::TaskState::completed, state::ReasonResolved::completed,
             "exchange/taskcluster-queue/v1/task-completed"},
        Case{state::TaskState::failed, state::ReasonResolved::failed, "exchange/taskcluster-queue/v1/task-failed"},
        Case{state::TaskState::exception, state::ReasonResolved::canceled,
             "exchange/taskcluster-queue/v1/task-exception"}}) {
    change([&](state::Task& task) {
      claimed(task);
      ended(task, each.outcome, each.reason);
    });
    auto resolved = message({Kind::task_resolved, task_id, 0});
    EXPECT_EQ(exchange_of(resolved.kind), each.exchange);
    EXPECT_EQ(resolved.routing_key, any_worker_key);
    EXPECT_TRUE(resolved.body.ends_with(R"(,"runId":0,"workerGroup":"wg","workerId":"wid","task":{"tags":{}}})"))
        << resolved.body;
  }
}

TEST_F(EventsTest, AnExceptionWithoutAWorkerNamesNone) {
  change([](state::Task& task) { ended(task, state::TaskState::exception, state::ReasonResolved::deadline_exceeded); });
  auto exception = message({Kind::task_resolved, task_id, 0});
  EXPECT_EQ(exception.routing_key, "primary.fN1SbArXTPSVFNUvaOlinQ.0._._.prov.queue.sched.VM1A8fkZS_GGm8BvIwLxXg._");
  EXPECT_EQ(exception.body.find("worker"), exception.body.find("workerType"));
}

TEST_F(EventsTest, ARetryIsAnExceptionAndThenPending) {
  change([](state::Task& task) {
    claimed(task);
    ended(task, state::TaskState::exception, state::ReasonResolved::claim_expired);
    task.runs.emplace_back();
  });
  auto rows = rows_of({{Kind::task_resolved, task_id, 0}, {Kind::task_pending, task_id, 1}});
  ASSERT_EQ(rows.size(), 1u) << "one row a task";
  auto both = value_or_throw(messages_of(rows[0].first, *rows[0].value));
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].kind, wire::EventKind::task_exception);
  EXPECT_EQ(both[1].kind, wire::EventKind::task_pending);
  EXPECT_EQ(both[1].number, both[0].number + 1);
  EXPECT_NE(both[1].body.find(R"("runId":1,"task")"), std::string::npos);
}

TEST_F(EventsTest, RoutesAndTags) {
  change([](state::Task& task) {
    task.labels = std::make_shared<state::TaskLabels>(
        state::TaskLabels{{"index.a.b", "notify.email"}, R"({"kind":"build","os":"linux"})"});
  });
  auto pending = message({Kind::task_pending, task_id, 0});
  EXPECT_EQ(pending.routes, (std::vector<std::string>{"route.index.a.b", "route.notify.email"}));
  EXPECT_TRUE(pending.body.ends_with(R"("task":{"tags":{"kind":"build","os":"linux"}}})")) << pending.body;
}

TEST_F(EventsTest, Artifacts) {
  change(claimed);
  auto created = [&](state::StorageType type, bool present) {
    state::Artifact artifact;
    artifact.id = {task_id, 0, "public/" + std::string(name_of(type)) + (present ? "" : "-absent")};
    artifact.task_sequence = 1;
    artifact.type = type;
    artifact.content_type = "text/plain";
    artifact.content_bytes = 5;
    artifact.expires = now + days(1);
    artifact.present = present;
    state.load(artifact);
    return messages({{.kind = Kind::artifact_created, .task = task_id, .run = 0, .name = artifact.id.name}});
  };
  EXPECT_TRUE(created(state::StorageType::s3, true).empty());
  EXPECT_TRUE(created(state::StorageType::object, false).empty()) << "not before it is finished";
  EXPECT_EQ(created(state::StorageType::object, true).size(), 1u);
  EXPECT_EQ(created(state::StorageType::error, true).size(), 1u);
  auto reference = created(state::StorageType::reference, true);
  ASSERT_EQ(reference.size(), 1u);
  EXPECT_EQ(exchange_of(reference[0].kind), "exchange/taskcluster-queue/v1/artifact-created");
  EXPECT_EQ(reference[0].routing_key, any_worker_key);
  EXPECT_EQ(
      reference[0].body,
      R"({"version":1,"status":)" + running_status +
          R"(,"runId":0,"workerGroup":"wg","workerId":"wid","artifact":{"storageType":"reference","name":"public/reference","expires":"2026-11-21T00:00:00.000Z","contentType":"text/plain"}})");
}

TEST_F(EventsTest, Priorities) {
  auto changed = message({.kind = Kind::priority_changed,
                          .task = task_id,
                          .priority_before = state::Priority::lowest,
                          .priority = state::Priority::high});
  EXPECT_EQ(exchange_of(changed.kind), "exchange/taskcluster-queue/v1/task-priority-changed");
  EXPECT_EQ(changed.body,
            R"({"version":1,"status":)" + pending_status + R"(,"oldPriority":"lowest","newPriority":"high"})");
  auto group = message(
      {.kind = Kind::group_priority_changed, .task = group_id, .priority = state::Priority::high, .tasks_affected = 3});
  EXPECT_EQ(exchange_of(group.kind), "exchange/taskcluster-queue/v1/task-group-priority-changed");
  EXPECT_EQ(group.routing_key, "primary.VM1A8fkZS_GGm8BvIwLxXg.sched._");
  EXPECT_EQ(
      group.body,
      R"({"version":1,"taskGroupId":"VM1A8fkZS_GGm8BvIwLxXg","schedulerId":"sched","newPriority":"high","tasksAffected":3})");
}

TEST_F(EventsTest, Groups) {
  auto resolved = message({Kind::group_resolved, group_id});
  EXPECT_EQ(exchange_of(resolved.kind), "exchange/taskcluster-queue/v1/task-group-resolved");
  EXPECT_EQ(resolved.routing_key, "primary.VM1A8fkZS_GGm8BvIwLxXg.sched._");
  EXPECT_EQ(
      resolved.body,
      R"({"version":1,"taskGroupId":"VM1A8fkZS_GGm8BvIwLxXg","schedulerId":"sched","expires":"2026-11-29T00:00:00.000Z"})");
  EXPECT_TRUE(resolved.task.empty());
  EXPECT_TRUE(resolved.routes.empty());
  state::Transaction tx(state, now);
  tx.update<state::Group>(group_id, [](state::Group& group) { group.sealed = now; });
  tx.take();
  auto sealed = message({Kind::group_sealed, group_id});
  EXPECT_EQ(exchange_of(sealed.kind), "exchange/taskcluster-queue/v1/task-group-sealed");
  EXPECT_TRUE(sealed.body.ends_with(R"("sealed":"2026-11-20T00:00:00.000Z"})")) << sealed.body;
}

TEST_F(EventsTest, AGroupsEndFollowsThatOfItsLastTaskInTheSameRow) {
  auto rows = rows_of(
      {{Kind::task_resolved, task_id, 0}, {Kind::task_resolved, other_id, 0}, {Kind::group_resolved, group_id}});
  ASSERT_EQ(rows.size(), 2u);
  auto last = value_or_throw(messages_of(rows[1].first, *rows[1].value));
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last[0].task, other_id);
  EXPECT_EQ(last[1].kind, wire::EventKind::task_group_resolved);
  EXPECT_TRUE(last[1].task.empty());
  EXPECT_TRUE(last[1].routes.empty());
}

TEST_F(EventsTest, NumbersGrowThroughTheRowsOfATransaction) {
  auto all = messages({{Kind::task_defined, task_id}, {Kind::task_pending, other_id}, {Kind::task_pending, task_id}});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].number, 1u);
  EXPECT_EQ(all[1].number, 2u);
  EXPECT_EQ(all[1].task, task_id);
  EXPECT_EQ(all[2].number, 3u);
  EXPECT_EQ(all[2].task, other_id);
}

TEST_F(EventsTest, ARowHasABoundedNumberOfEvents) {
  std::vector<Change> many(40, Change{Kind::task_pending, task_id});
  auto rows = rows_of(many);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].count, events_per_row_max);
  EXPECT_EQ(rows[2].first, rows[1].first + rows[1].count);
}

TEST_F(EventsTest, WhatIsGoneMakesNoEvent) {
  EXPECT_TRUE(rows_of({{Kind::task_pending, *TaskId::parse("BAAAAAAAQACAAAAAAAAAAA")}}).empty());
  EXPECT_TRUE(rows_of({{Kind::allocation_lost, task_id}}).empty());
}

TEST_F(EventsTest, ARoutingKeyFitsIntoAnAmqpShortString) {
  std::string longest(38, 'x');
  change([&](state::Task& task) {
    claimed(task);
    task.task_queue = longest + "/" + longest;
    task.scheduler = longest;
    task.runs.back().worker_group = longest;
    task.runs.back().worker_id = longest;
  });
  auto running = message({Kind::task_running, task_id, 0});
  EXPECT_TRUE(running.routing_key.ends_with(".VM1A8fkZS_GGm8BvIwLxXg._")) << "not cut";
  EXPECT_LE(running.routing_key.size(), wire::routing_key_bytes_max);
}

TEST(EventRow, DamagedRowsAreErrors) {
  for (const char* row : {"", "{}", "[]", R"({"v":1,"at":1,"events":[{"kind":"task-pending"}]})",
                          R"({"v":1,"at":1,"events":[{"kind":"nothing"}],"status":{}})",
                          R"({"v":1,"at":1,"events":[{"kind":"task-pending"}],"group":{}})",
                          R"({"v":1,"at":1,"events":[7],"status":{}})", R"({"v":1,"at":1,"events":{},"status":{}})"}) {
    auto messages = messages_of(1, row);
    ASSERT_FALSE(messages) << row;
    EXPECT_EQ(messages.error().code(), ErrorCode::corrupt);
  }
}

}  // namespace
}  // namespace gantry::queue
