#include "agent/task/container_spec.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/testing/fake_env.h"

namespace gantry::agent {
namespace {

TEST(ContainerSpec, adds_variables_that_a_task_cannot_override) {
  FakeEnv env;
  RunSettings settings;
  settings.agent_id = "agent";
  settings.task_queue = "prov/type";
  settings.network = "net";
  wire::Payload payload;
  payload.image = "debian:12";
  payload.env = {{"TASK_ID", "mine"}, {"A", "1"}};
  payload.resources.memory_bytes = 1 << 20;
  wire::RunRef run{TaskId::random(env), 2};
  engine::ContainerSpec spec = container_spec(settings, run, payload, "http://server");
  auto value = [&](const std::string& name) {
    auto found = std::ranges::find_if(spec.env, [&](const auto& variable) { return variable.first == name; });
    return found == spec.env.end() ? "none" : found->second;
  };
  EXPECT_EQ(value("TASK_ID"), run.task.to_string());
  EXPECT_EQ(value("RUN_ID"), "2");
  EXPECT_EQ(value("A"), "1");
  EXPECT_EQ(value("TASKCLUSTER_WORKER_TYPE"), "type");
  EXPECT_EQ(std::ranges::count_if(spec.env, [](const auto& v) { return v.first == "TASK_ID"; }), 1);
  EXPECT_EQ(spec.labels.at(agent_label), "agent");
  EXPECT_EQ(spec.name, container_name(run));
  EXPECT_EQ(spec.limits.memory_bytes, 1 << 20);
}

}  // namespace
}  // namespace gantry::agent
