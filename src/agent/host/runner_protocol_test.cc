#include "agent/host/runner_protocol.h"

#include <gtest/gtest.h>

#include "agent/host/limits.h"

namespace gantry::agent {
namespace {

using Kind = RunnerMessage::Kind;

std::vector<std::string> all(RunnerLines& lines) {
  std::vector<std::string> found;
  while (auto line = lines.next()) found.push_back(*line);
  return found;
}

TEST(RunnerLines, AreWholeHoweverTheyCome) {
  RunnerLines lines;
  lines.add("~{\"a\"");
  EXPECT_TRUE(all(lines).empty());
  lines.add(":1}\nnoise\n\nnext");
  EXPECT_EQ(all(lines), (std::vector<std::string>{"~{\"a\":1}", "noise", ""}));
  lines.add("\n");
  EXPECT_EQ(all(lines), std::vector<std::string>{"next"});
}

TEST(RunnerLines, OneThatIsTooLongIsPassedOver) {
  RunnerLines lines;
  for (int i = 0; i < 100; ++i) {
    lines.add(std::string(10'000, 'x'));
    EXPECT_TRUE(all(lines).empty());
  }
  lines.add("end\nshort\n" + std::string(runner_line_bytes_max + 1, 'y') + "\nlast\n");
  EXPECT_EQ(all(lines), (std::vector<std::string>{"short", "last"}));
}

TEST(RunnerProtocol, WhatTheRunnerSays) {
  auto welcome = parse_runner_line(R"(~{"type":"welcome","capabilities":["log","shutdown",7,"x"]})");
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->kind, Kind::welcome);
  EXPECT_EQ(welcome->capabilities, (std::vector<std::string>{"log", "shutdown", "x"}));

  auto finish = parse_runner_line("~{\"type\":\"graceful-termination\",\"finish-tasks\":true}\r");
  ASSERT_TRUE(finish);
  EXPECT_EQ(finish->kind, Kind::graceful_termination);
  EXPECT_TRUE(finish->finish_tasks);
  EXPECT_FALSE(parse_runner_line(R"(~{"type":"graceful-termination","finish-tasks":false})")->finish_tasks);
  EXPECT_FALSE(parse_runner_line(R"(~{"type":"graceful-termination"})")->finish_tasks) << "in doubt there is no time";

  auto renewed =
      parse_runner_line(R"(~{"type":"new-credentials","client-id":"c","access-token":"t","certificate":"{}"})");
  ASSERT_TRUE(renewed);
  EXPECT_EQ(renewed->kind, Kind::new_credentials);
  EXPECT_EQ(renewed->credentials.client_id + renewed->credentials.access_token + renewed->credentials.certificate,
            "ct{}");
  EXPECT_EQ(parse_runner_line(R"(~{"type":"new-credentials","client-id":"c"})")->kind, Kind::unknown);
  EXPECT_EQ(parse_runner_line(R"(~{"type":"of the future"})")->kind, Kind::unknown);
}

TEST(RunnerProtocol, WhatIsNoMessage) {
  for (const char* line : {"", "~", "~{", "{}", "hello", "~[]", "~{\"type\":}", " ~{\"type\":\"welcome\"}", "~{} x"}) {
    EXPECT_FALSE(parse_runner_line(line)) << line;
  }
}

TEST(RunnerProtocol, WhatTheWorkerSays) {
  EXPECT_EQ(runner_hello({}), "~{\"type\":\"hello\",\"capabilities\":[]}\n");
  EXPECT_EQ(runner_hello({"log", "shutdown"}), "~{\"type\":\"hello\",\"capabilities\":[\"log\",\"shutdown\"]}\n");
  EXPECT_EQ(runner_shutdown(), "~{\"type\":\"shutdown\"}\n");
  EXPECT_EQ(runner_log("a\nb"), "~{\"type\":\"log\",\"body\":{\"textPayload\":\"a?b\"}}\n");
  std::string report = runner_error_report(std::string(5000, '"'), std::string(50'000, '"'));
  EXPECT_LE(report.size(), 4096u);
  auto document = parse_json(std::string_view(report).substr(1));
  ASSERT_TRUE(document);
  EXPECT_EQ(document.value().at("kind"), "worker-error");
}

}  // namespace
}  // namespace gantry::agent
