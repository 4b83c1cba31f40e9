#include "agent/task/graph_file.h"

#include <gtest/gtest.h>

namespace gantry::agent {
namespace {

constexpr const char* id = "fN1SbArXTPSVFNUvaOlinQ";

std::string error_of(std::string_view text) {
  auto tasks = read_graph(text, "group", "scheduler");
  return tasks ? "" : tasks.error().message();
}

TEST(GraphFile, tasks_go_into_the_group) {
  auto tasks = read_graph(fmt::format(R"({{"version":1,"tasks":[
      {{"taskId":"{0}","task":{{"payload":{{"a":1}},"taskGroupId":"another"}}}},
      {{"taskId":"{0}","requires":["{0}"],"reruns":5,"task":{{"schedulerId":"its-own"}}}}]}})",
                                      id),
                          "group", "scheduler");
  ASSERT_TRUE(tasks);
  ASSERT_EQ(tasks.value().size(), 2u);
  EXPECT_EQ(tasks.value()[0].id, id);
  EXPECT_EQ(parse_json(tasks.value()[0].definition).value(),
            parse_json(R"({"payload":{"a":1},"taskGroupId":"group","schedulerId":"scheduler"})").value());
  EXPECT_EQ(parse_json(tasks.value()[1].definition).value(),
            parse_json(fmt::format(R"({{"taskGroupId":"group","schedulerId":"its-own","dependencies":["{}"]}})", id))
                .value());
}

TEST(GraphFile, errors_name_the_place) {
  EXPECT_NE(error_of("{"), "");
  EXPECT_EQ(error_of("[]"), "must be an object with a list of tasks");
  EXPECT_EQ(error_of(R"({"tasks":{}})"), "must be an object with a list of tasks");
  EXPECT_EQ(error_of(R"({"tasks":[7]})"), "tasks[0]: must be an object");
  EXPECT_EQ(error_of(R"({"tasks":[{"taskId":"x","task":{}}]})"), "tasks[0].taskId: must be a taskId");
  EXPECT_EQ(error_of(fmt::format(R"({{"tasks":[{{"taskId":"{}"}}]}})", id)),
            "tasks[0].task: must be the task's definition");
  std::string many = R"({"tasks":[0)";
  for (std::size_t i = 0; i < graph_tasks_max; ++i) many += ",0";
  EXPECT_EQ(error_of(many + "]}"), "has more than 1000 tasks");
}

}  // namespace
}  // namespace gantry::agent
