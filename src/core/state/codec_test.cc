#include "core/state/codec.h"

#include <gtest/gtest.h>

#include "core/testing/queue_world.h"

namespace gantry::state {
namespace {

using testing_world::numbered_id;

const Time then = time_from_ms(1'795'132'800'000);

Task a_task() {
  Task task;
  task.id = numbered_id<TaskTag>(1);
  task.sequence = 7;
  task.task_queue = "prov/queue";
  task.scheduler = "scheduler";
  task.project = "a/project";
  task.group = numbered_id<TaskTag>(2);
  task.priority = Priority::very_high;
  task.retries = 5;
  task.retries_left = 4;
  task.created = then;
  task.deadline = then + hours(1);
  task.expires = then + hours(2);
  task.memory_bytes = 1 << 30;
  task.cpus = 0.5;
  task.digest = {0, 1, 2, 0xAB, 0xFF};
  Run lost;
  lost.state = TaskState::exception;
  lost.reason_resolved = ReasonResolved::claim_expired;
  lost.worker_group = "group";
  lost.worker_id = "worker";
  lost.scheduled = then;
  lost.started = then + seconds(1);
  lost.resolved = then + seconds(2);
  ExitReport exit;
  exit.known = true;
  exit.exit_code = -1;
  exit.signal = 9;
  exit.out_of_memory = true;
  exit.message = "out of \"memory\"";
  exit.steps = {{"pulled", then}, {"started", then + seconds(1)}};
  lost.exit = std::make_shared<const ExitReport>(exit);
  Run again;
  again.state = TaskState::running;
  again.reason_created = ReasonCreated::retry;
  again.scheduled = then + seconds(2);
  again.taken_until = then + minutes(20);
  task.runs = {lost, again};
  return task;
}

/// A stored task with one part of its text replaced.
Result<Task> decode_changed(std::string_view from, std::string_view to) {
  std::string bytes = encode(a_task());
  auto at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return decode_task(7, bytes.replace(at, from.size(), to));
}

TEST(Codec, ATaskReadsBackAsWritten) {
  std::string bytes = encode(a_task());
  Task task = value_or_throw(decode_task(7, bytes));
  EXPECT_EQ(encode(task), bytes);
  EXPECT_EQ(task.sequence, 7u);
  EXPECT_EQ(task.digest, a_task().digest);
  EXPECT_EQ(task.group, numbered_id<TaskTag>(2));
  ASSERT_EQ(task.runs.size(), 2u);
  EXPECT_EQ(task.runs[0].exit->steps, a_task().runs[0].exit->steps);
  EXPECT_EQ(task.runs[1].taken_until, then + minutes(20));
  EXPECT_EQ(task.state(), TaskState::running);
}

TEST(Codec, WhatATaskWaitsForReadsBackButForItsIds) {
  Task task = a_task();
  auto waits = std::make_shared<Waits>();
  waits->met = {0x8000000000000001ull, 1};
  waits->left = 67;
  waits->any_outcome = true;
  waits->until_scheduled = true;
  task.waits = waits;
  task.runs.clear();
  task.pulls = true;
  task.pulled = Priority::high;
  task.labels = std::make_shared<const TaskLabels>(TaskLabels{{"a.route"}, R"({"k":"v"})"});
  Task read = value_or_throw(decode_task(7, encode(task)));
  EXPECT_EQ(encode(read), encode(task));
  EXPECT_EQ(read.waits->met, waits->met);
  EXPECT_EQ(read.waits->left, 67u);
  EXPECT_TRUE(read.waits->any_outcome);
  EXPECT_TRUE(read.waits->until_scheduled);
  EXPECT_TRUE(read.pulls);
  EXPECT_EQ(read.pulled, Priority::high);
  EXPECT_EQ(read.labels->tags, R"({"k":"v"})");
  EXPECT_TRUE(read.unknown_fields.empty()) << "all of these are known";
}

TEST(Codec, WorkReadsBackAsWritten) {
  Work work;
  work.id = 12;
  work.kind = Work::Kind::group_pulls;
  work.task = numbered_id<TaskTag>(4);
  work.position = 5;
  work.through = 6;
  work.completed = true;
  work.priority = Priority::high;
  work.links = {1, 1'000'000'000'000};
  work.created = then;
  Work read = value_or_throw(decode<Work>({12, {}}, encode(work)));
  EXPECT_EQ(encode(read), encode(work));
  EXPECT_EQ(read.kind, work.kind);
  EXPECT_EQ(read.links, work.links);
  EXPECT_EQ(read.through, 6u);
}

TEST(Codec, DefaultsAreLeftOut) {
  Task task = a_task();
  task.scheduler = "-";
  task.project = "none";
  task.group = task.id;
  task.runs.clear();
  std::string bytes = encode(task);
  EXPECT_EQ(bytes.find("scheduler"), std::string::npos);
  Task read = value_or_throw(decode_task(7, bytes));
  EXPECT_EQ(read.scheduler, "-");
  EXPECT_EQ(read.project, "none");
  EXPECT_EQ(read.group, task.id);
  EXPECT_EQ(read.state(), TaskState::unscheduled);
}

TEST(Codec, TheOtherRecordsReadBackAsWritten) {
  Artifact artifact;
  artifact.id = {numbered_id<TaskTag>(1), 2, "public/a b"};
  artifact.type = StorageType::error;
  artifact.content_type = "text/plain";
  artifact.content_bytes = 0;
  artifact.expires = then;
  artifact.reason = "file-missing-on-worker";
  artifact.message = "no such file";
  artifact.present = false;
  Artifact read_artifact = value_or_throw(decode_artifact(7, encode(artifact)));
  EXPECT_EQ(encode(read_artifact), encode(artifact));
  EXPECT_EQ(read_artifact.id, artifact.id);
  EXPECT_EQ(read_artifact.content_bytes, 0);
  EXPECT_FALSE(read_artifact.present);

  Allocation allocation{{numbered_id<TaskTag>(1), 2}, 7, numbered_id<NodeTag>(3), "group/worker", 1 << 20, 0.25};
  EXPECT_EQ(encode(value_or_throw(decode_allocation(7, encode(allocation)))), encode(allocation));
  allocation.token = "a-token";
  EXPECT_EQ(value_or_throw(decode_allocation(7, encode(allocation))).token, "a-token");
  allocation.node = {};
  EXPECT_TRUE(value_or_throw(decode_allocation(7, encode(allocation))).node.empty());

  Node node{numbered_id<NodeTag>(3), "box", "prov/queue", "group", "worker", 4, 1 << 30, 2.5, "0.1.0", then};
  EXPECT_EQ(encode(value_or_throw(decode_node(encode(node)))), encode(node));
}

TEST(Codec, WhatANewerBuildAddedIsKept) {
  Task task = value_or_throw(decode_changed("\"runs\"", R"("colour":{"b":1,"a":"x"},"runs")"));
  EXPECT_EQ(task.unknown_fields, R"(,"colour":{"a":"x","b":1})");
  Task again = value_or_throw(decode_task(7, encode(task)));
  EXPECT_EQ(again.unknown_fields, task.unknown_fields);
}

TEST(Codec, ANewerFormatIsRefused) {
  auto task = decode_changed("\"v\":1", "\"v\":2");
  ASSERT_FALSE(task);
  EXPECT_EQ(task.error().code(), ErrorCode::unsupported);
  EXPECT_NE(task.error().message().find("format 2, this build knows 1"), std::string::npos);
  EXPECT_FALSE(task.error().hint().empty());
}

TEST(Codec, DamageIsCorruptAndSaysWhere) {
  struct Damage {
    const char* from;
    const char* to;
    const char* where;
  };
  for (Damage damage :
       {Damage{"{", "", "not a JSON object"}, Damage{"\"id\"", "\"di\"", "id"},
        Damage{"\"priority\":\"very-high\"", "\"priority\":\"much\"", "priority"},
        Damage{"\"retries\":5", "\"retries\":\"5\"", "retries"},
        Damage{"\"retries\":5", "\"retries\":5000000000", "retries"},
        Damage{"\"created\":17", "\"created\":917000000", "created"},
        Damage{"\"digest\":\"00", "\"digest\":\"0", "digest"}, Damage{"\"digest\":\"00", "\"digest\":\"zz", "digest"},
        Damage{"\"state\":\"exception\"", "\"state\":\"gone\"", "state"}, Damage{"\"runs\":[", "\"runs\":[7,", "state"},
        Damage{"\"runs\":", "\"walks\":", "runs"}}) {
    auto task = decode_changed(damage.from, damage.to);
    ASSERT_FALSE(task) << damage.to;
    EXPECT_EQ(task.error().code(), ErrorCode::corrupt);
    EXPECT_NE(task.error().message().find(damage.where), std::string::npos) << task.error().message();
  }
  std::string bytes = encode(a_task());
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode_task(7, bytes.substr(0, size)));
  EXPECT_FALSE(decode_node("[]"));
  EXPECT_FALSE(decode_artifact(1, "{}"));
  EXPECT_FALSE(decode_allocation(1, "{\"v\":1}"));
}

TEST(Codec, HowNodesJoinedAndWereRemoved) {
  JoinToken token{
      "id", {{numbered_id<NodeTag>(1), then}, {numbered_id<NodeTag>(2), then + seconds(1)}}, then + hours(1)};
  auto read = decode<JoinToken>(JoinToken::store_key(token.id), encode(token));
  ASSERT_TRUE(read);
  EXPECT_EQ(read.value().id, "id");
  EXPECT_EQ(read.value().expires, token.expires);
  ASSERT_EQ(read.value().uses.size(), 2u);
  EXPECT_EQ(read.value().uses[1].node, token.uses[1].node);
  EXPECT_EQ(read.value().uses[1].at, token.uses[1].at);
  EXPECT_FALSE(decode<JoinToken>({0, "id"}, R"({"v":1,"expires":1,"uses":7})"));
  EXPECT_FALSE(decode<JoinToken>({0, "id"}, R"({"v":1,"expires":1,"uses":[7]})"));
  RemovedNode node{"node/a/b/c", numbered_id<NodeTag>(1), then, then + days(30)};
  auto removed = decode<RemovedNode>(RemovedNode::store_key(node.client_id), encode(node));
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed.value().client_id, node.client_id);
  EXPECT_EQ(removed.value().node, node.node);
  EXPECT_EQ(removed.value().removed, node.removed);
  EXPECT_EQ(removed.value().expires, node.expires);
}

}  // namespace
}  // namespace gantry::state
