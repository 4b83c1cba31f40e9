// What all runs of an agent share, and the container that it asks the engine for.
#pragma once

#include <functional>
#include <string>

#include "agent/server_api.h"
#include "engine/engine.h"
#include "wire/payload.h"

namespace gantry::agent {

/// What all runs of an agent share.
struct RunSettings {
  std::string agent_id;
  std::string task_queue;
  std::string worker_group;
  std::string worker_id;
  std::string spool_directory;
  std::string network;  // that containers are attached to
  std::int64_t log_bytes_max = 0;
  Signer agent_signer;                // for a run whose own credentials have run out
  std::function<void()> engine_away;  // told whenever the engine does not answer
};

/// Labels of a run's container.
inline constexpr const char* agent_label = "gantry.agent";
inline constexpr const char* task_label = "gantry.task";
inline constexpr const char* run_label = "gantry.run";

std::string container_name(wire::RunRef run);

/// The payload's container with the variables that a task cannot override (taskcluster.md 1.1) and our labels.
engine::ContainerSpec container_spec(const RunSettings& settings, wire::RunRef run, const wire::Payload& payload,
                                     const std::string& root_url);

}  // namespace gantry::agent
