#include "agent/task/secret_variable.h"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/testing/fake_env.h"

namespace gantry::agent {
namespace {

struct SecretVariableTest : testing::Test {
  FakeEnv env;
  TaskId task = TaskId::random(env);
  std::int64_t now_ms = env.now().time_since_epoch() / milliseconds(1);
  json::object good{
      {"messageVersion", 1}, {"taskId", task.to_string()}, {"startTime", now_ms - 1000}, {"endTime", now_ms + 1000},
      {"name", "TOKEN"},     {"value", "secret"}};

  std::string error_of(std::string_view key, const json::value& value) {
    json::object changed = good;
    changed[key] = value;
    auto variable = read_secret_variable(json::serialize(changed), task, env.now(), {"MINE"});
    return variable ? "" : variable.error().message();
  }
};

TEST_F(SecretVariableTest, a_variable_for_this_task_and_this_moment) {
  auto variable = read_secret_variable(json::serialize(good), task, env.now(), {"MINE"});
  ASSERT_TRUE(variable);
  EXPECT_EQ(variable.value().name, "TOKEN");
  EXPECT_EQ(variable.value().value, "secret");
  EXPECT_EQ(error_of("messageVersion", "1"), "");
  EXPECT_EQ(error_of("startTime", now_ms), "");
  EXPECT_EQ(error_of("endTime", now_ms), "");
}

TEST_F(SecretVariableTest, whatever_else_is_refused) {
  EXPECT_EQ(error_of("messageVersion", 2), "its messageVersion is not 1");
  EXPECT_EQ(error_of("taskId", json::string(TaskId::random(env).to_string())), "it is meant for another task");
  EXPECT_EQ(error_of("startTime", now_ms + 1), "it is meant for later");
  EXPECT_EQ(error_of("endTime", now_ms - 1), "it has expired");
  EXPECT_EQ(error_of("name", "MINE"), "its name is taken by another variable");
  for (const char* name : {"TASK_ID", "RUN_ID", "TASKCLUSTER_ROOT_URL"}) {
    EXPECT_EQ(error_of("name", json::string(name)), "its name is one that tasks cannot set");
  }
  EXPECT_EQ(error_of("name", "A=B"), "it cannot be a variable");
  EXPECT_EQ(error_of("name", ""), "it cannot be a variable");
  EXPECT_EQ(error_of("endTime", "never"), "name, value, startTime and endTime must all be there");
  EXPECT_FALSE(read_secret_variable("[]", task, env.now(), {}));
  EXPECT_FALSE(read_secret_variable("secret", task, env.now(), {}));
}

}  // namespace
}  // namespace gantry::agent
