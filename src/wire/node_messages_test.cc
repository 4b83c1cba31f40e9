#include "wire/node_messages.h"

#include <gtest/gtest.h>

namespace gantry::wire {
namespace {

const TaskId task = *TaskId::parse("AAAAAAAAQACAAAAAAAAAAA");

NodePoll a_poll() {
  NodePoll poll;
  poll.name = "box";
  poll.task_queue = "prov/queue";
  poll.worker_group = "group";
  poll.worker_id = "worker";
  poll.slots = 3;
  poll.memory_bytes = 1 << 30;
  poll.cpus = 1.5;
  poll.version = "0.1.0";
  poll.seen_generation = 7;
  poll.restarted = true;
  poll.holds = {{task, 0}, {task, 2}};
  poll.caches = {{"level-1 checkouts", "prov/queue", 3, 1, Time(milliseconds(1'795'132'800'123))}};
  poll.clock_ahead_ms = -42'000;
  return poll;
}

TEST(NodePoll, ReadsBackAsWritten) {
  NodePoll poll = value_or_throw(parse_node_poll(to_json(a_poll())));
  EXPECT_EQ(poll.name, "box");
  EXPECT_EQ(poll.task_queue, "prov/queue");
  EXPECT_EQ(poll.slots, 3);
  EXPECT_EQ(poll.memory_bytes, 1 << 30);
  EXPECT_DOUBLE_EQ(poll.cpus, 1.5);
  EXPECT_EQ(poll.seen_generation, 7u);
  EXPECT_TRUE(poll.restarted);
  EXPECT_EQ(poll.holds, a_poll().holds);
  ASSERT_EQ(poll.caches.size(), 1u);
  EXPECT_EQ(poll.caches[0].name, "level-1 checkouts");
  EXPECT_EQ(poll.caches[0].instances, 3);
  EXPECT_EQ(poll.caches[0].in_use, 1);
  EXPECT_EQ(poll.clock_ahead_ms, -42'000);
  EXPECT_EQ(to_json(poll), to_json(a_poll()));
}

TEST(NodePoll, NamesWhatIsWrong) {
  NodePoll poll = a_poll();
  poll.worker_id = "no spaces";
  EXPECT_NE(parse_node_poll(to_json(poll)).error().message().find("workerId"), std::string::npos);
  poll = a_poll();
  poll.slots = 10'001;
  EXPECT_NE(parse_node_poll(to_json(poll)).error().message().find("slots"), std::string::npos);
  poll = a_poll();
  poll.holds[1].run = -1;
  EXPECT_NE(parse_node_poll(to_json(poll)).error().message().find("holds.1.runId"), std::string::npos);
  poll = a_poll();
  poll.caches[0].instances = 0;
  EXPECT_NE(parse_node_poll(to_json(poll)).error().message().find("caches.0.instances"), std::string::npos);
  poll.caches.assign(caches_told_max + 1, a_poll().caches[0]);
  EXPECT_NE(parse_node_poll(to_json(poll)).error().message().find("caches"), std::string::npos);
}

TEST(NodeNews, ReadsBackAsWritten) {
  NodeNews news{9, {{task, 1}}, {}};
  EXPECT_EQ(to_json(value_or_throw(parse_node_news(to_json(news)))), to_json(news));
}

TEST(NodeNews, ShellsReadBackAsWritten) {
  NodeNews news;
  news.generation = 3;
  news.shells = {{"a-session", {task, 1}, true, {}}, {"another", {task, 0}, false, {"sh", "-c", "echo \"x\"\n"}}};
  NodeNews read = value_or_throw(parse_node_news(to_json(news)));
  EXPECT_EQ(to_json(read), to_json(news));
  ASSERT_EQ(read.shells.size(), 2u);
  EXPECT_EQ(read.shells[1].command.at(2), "echo \"x\"\n");
  EXPECT_TRUE(read.shells[0].tty);
  EXPECT_EQ(to_json(NodeNews{}).find("shells"), std::string::npos);
  EXPECT_FALSE(
      parse_node_news(R"({"generation":1,"shells":[{"session":"a b","taskId":"fN1SbArXTPSVFNUvaOlinQ","runId":0}]})"));
}

TEST(RunReport, ReadsBackAsWritten) {
  RunReport report;
  report.reason = ReasonResolved::failed;
  report.log_bytes = 12;
  report.end.known = true;
  report.end.exit_code = 137;
  report.end.signal = 9;
  report.end.out_of_memory = true;
  report.end.message = "killed";
  report.end.steps = {{"pulled", time_from_ms(1'795'132'800'000)}, {"started", time_from_ms(1'795'132'800'001)}};
  RunReport read = value_or_throw(parse_run_report(to_json(report)));
  EXPECT_EQ(to_json(read), to_json(report));
  EXPECT_EQ(read.end.steps, report.end.steps);
}

TEST(RunReport, OnlySomeReasonsAreAWorkersToGive) {
  for (const char* reason : {"canceled", "claim-expired", "deadline-exceeded", "", "nonsense"}) {
    auto report = parse_run_report(std::string("{\"reason\":\"") + reason + "\"}");
    ASSERT_FALSE(report) << reason;
    EXPECT_NE(report.error().message().find("reason"), std::string::npos);
  }
  EXPECT_TRUE(parse_run_report(R"({"reason":"worker-shutdown"})"));
}

TEST(RunReport, ALongMessageIsCutBetweenCharacters) {
  std::string message;
  for (int i = 0; i < 600; ++i) message += "\xC3\xA9";  // 2 bytes each; the cut at 1000 must not split one
  message.insert(0, "x");
  RunReport report =
      value_or_throw(parse_run_report(R"({"reason":"failed","exit":{"code":1,"message":")" + message + "\"}}"));
  EXPECT_LT(report.end.message.size(), message.size());
  EXPECT_TRUE(parse_run_report(to_json(report))) << "what was cut must still be JSON";
}

TEST(RunReport, RefusesAbsurdNumbersAndTooManySteps) {
  EXPECT_FALSE(parse_run_report(R"({"reason":"failed","exit":{"code":1e99}})"));
  EXPECT_FALSE(parse_run_report(R"({"reason":"failed","logBytes":-2})"));
  std::string steps;
  for (std::size_t i = 0; i <= steps_max; ++i)
    steps += (i ? ",\"s" : "\"s") + std::to_string(i) + "\":\"2026-11-20T00:00:00Z\"";
  EXPECT_FALSE(parse_run_report(R"({"reason":"failed","exit":{"code":1,"steps":{)" + steps + "}}}"));
}

TEST(QueueWords, EveryNameReadsBack) {
  for (int i = 0; i < priority_count; ++i) {
    auto priority = static_cast<Priority>(i);
    EXPECT_EQ(parse_priority(name_of(priority)), priority);
  }
  for (auto reason = ReasonResolved::completed; reason <= ReasonResolved::intermittent_task;
       reason = static_cast<ReasonResolved>(static_cast<int>(reason) + 1)) {
    EXPECT_EQ(parse_reason_resolved(name_of(reason)), reason);
  }
  EXPECT_FALSE(parse_reason_resolved(""));
  EXPECT_FALSE(parse_task_state("Pending"));
}

}  // namespace
}  // namespace gantry::wire
