#include "agent/task/container_spec.h"

#include <algorithm>
#include <map>

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
  payload.env = {{"TASK_ID", "mine"}, {"A", "1"}};
  payload.resources.memory_bytes = 1 << 20;
  wire::RunRef run{TaskId::random(env), 2};
  engine::ContainerSpec spec = container_spec(settings, run, payload, {}, "http://server");
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

TEST(ContainerSpec, only_privileged_containers_could_forge_addresses) {
  FakeEnv env;
  wire::RunRef run{TaskId::random(env), 0};
  engine::ContainerSpec plain = container_spec({}, run, {}, {}, "http://server");
  EXPECT_EQ(plain.capabilities_drop, std::vector<std::string>{"NET_RAW"});
  engine::ContainerSpec plan;
  plan.privileged = true;
  EXPECT_TRUE(container_spec({}, run, {}, plan, "http://server").capabilities_drop.empty());
}

TEST(ContainerSpec, what_features_add_gives_way_to_the_task_and_both_to_the_agent) {
  FakeEnv env;
  RunSettings settings;
  settings.agent_id = "agent";
  settings.task_queue = "prov/type";
  wire::Payload payload;
  payload.env = {{"B", "task"}};
  payload.resources.shm_bytes = 1 << 20;
  engine::ContainerSpec plan;
  plan.image = "sha256:1";
  plan.env = {{"A", "feature"}, {"B", "feature"}, {"TASK_ID", "feature"}};
  plan.labels = {{"mine", "1"}, {agent_label, "another"}};
  plan.mounts = {{engine::Mount::Type::volume, "cache", "/cache"}};
  plan.capabilities_add = {"SYS_PTRACE"};
  plan.extra_hosts = {{"taskcluster", "10.0.0.1"}};
  wire::RunRef run{TaskId::random(env), 0};
  engine::ContainerSpec spec = container_spec(settings, run, payload, plan, "http://server");
  std::map<std::string, std::string> variables(spec.env.begin(), spec.env.end());
  EXPECT_EQ(variables.size(), spec.env.size()) << "each once";
  EXPECT_EQ(variables["A"], "feature");
  EXPECT_EQ(variables["B"], "task");
  EXPECT_EQ(variables["TASK_ID"], run.task.to_string());
  EXPECT_EQ(spec.image, "sha256:1");
  EXPECT_EQ(spec.labels.at("mine"), "1");
  EXPECT_EQ(spec.labels.at(agent_label), "agent");
  EXPECT_EQ(spec.mounts.at(0).target, "/cache");
  EXPECT_EQ(spec.capabilities_add, std::vector<std::string>{"SYS_PTRACE"});
  EXPECT_EQ(spec.extra_hosts.at(0).first, "taskcluster");
  EXPECT_EQ(spec.shm_bytes, 1 << 20);
}

}  // namespace
}  // namespace gantry::agent
