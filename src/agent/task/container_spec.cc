#include "agent/task/container_spec.h"

#include <fmt/format.h>

namespace gantry::agent {

std::string container_name(wire::RunRef run) { return fmt::format("gantry-{}-{}", run.task.to_string(), run.run); }

engine::ContainerSpec container_spec(const RunSettings& settings, wire::RunRef run, const wire::Payload& payload,
                                     const std::string& root_url) {
  engine::ContainerSpec spec;
  spec.name = container_name(run);
  spec.image = payload.image;
  spec.command = payload.command;
  spec.env = payload.env;
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
  for (const auto& [name, value] : injected) {
    std::erase_if(spec.env, [&](const auto& variable) { return variable.first == name; });
    spec.env.emplace_back(name, value);
  }
  spec.labels = {{agent_label, settings.agent_id}, {task_label, task}, {run_label, run_id}};
  spec.limits = {payload.resources.memory_bytes, payload.resources.cpus, payload.resources.pids};
  spec.network = settings.network;
  return spec;
}

}  // namespace gantry::agent
