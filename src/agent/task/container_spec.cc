#include "agent/task/container_spec.h"

#include <fmt/format.h>

namespace gantry::agent {

std::optional<wire::RunRef> run_of_labels(const std::map<std::string, std::string>& labels) {
  auto task = labels.find(task_label);
  auto run = labels.find(run_label);
  if (task == labels.end() || run == labels.end()) return std::nullopt;
  auto id = TaskId::parse(task->second);
  if (!id) return std::nullopt;
  return wire::RunRef{*id, std::atoi(run->second.c_str())};
}

std::string container_name(wire::RunRef run) { return fmt::format("gantry-{}-{}", run.task.to_string(), run.run); }

std::string run_file_name(wire::RunRef run, std::string_view extension) {
  return fmt::format("{}-{}.{}", run.task.to_string(), run.run, extension);
}

namespace {

/// Replaces what there is of the same name.
void set_variable(engine::ContainerSpec& spec, const std::string& name, const std::string& value) {
  std::erase_if(spec.env, [&](const auto& variable) { return variable.first == name; });
  spec.env.emplace_back(name, value);
}

}  // namespace

engine::ContainerSpec container_spec(const RunSettings& settings, wire::RunRef run, const wire::Payload& payload,
                                     engine::ContainerSpec plan, const std::string& root_url) {
  engine::ContainerSpec spec = std::move(plan);
  spec.name = container_name(run);
  spec.command = payload.command;
  for (const auto& [name, value] : payload.env) set_variable(spec, name, value);
  std::string task = run.task.to_string();
  std::string run_id = std::to_string(run.run);
  auto slash = settings.task_queue.find('/');
  const std::pair<std::string, std::string> injected[] = {
      {"TASK_ID", task},
      {"RUN_ID", run_id},
      {"TASKCLUSTER_ROOT_URL", root_url},
      {"TASKCLUSTER_WORKER_GROUP", settings.worker_group},
      {"TASKCLUSTER_WORKER_TYPE", settings.task_queue.substr(slash + 1)},
      {"TASKCLUSTER_WORKER_POOL", settings.task_queue},
  };
  for (const auto& [name, value] : injected) set_variable(spec, name, value);
  spec.labels[agent_label] = settings.agent_id;
  spec.labels[task_label] = task;
  spec.labels[run_label] = run_id;
  spec.limits = {payload.resources.memory_bytes, payload.resources.cpus, payload.resources.pids};
  spec.shm_bytes = payload.resources.shm_bytes;
  spec.disk_bytes = payload.resources.disk_bytes;
  spec.network = settings.network;
  // None may send in another one's name: by its address the proxy knows which task asks.
  if (!spec.privileged) spec.capabilities_drop.emplace_back("NET_RAW");
  return spec;
}

}  // namespace gantry::agent
