// A container beside a task's, which the agent's operator has set up and the task asks for by name
// (agent/side_container_settings.h): a container engine of the task's own, a way into another network.
//
// One with an alias and the task's container share a network: what listens in one is at the alias, and at localhost, in
// the other. One with a socket shares a folder with this machine, of which the task gets the socket alone.
//
// Everything here can be said again after a restart of the agent: names and folders follow from the run.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "agent/side_container_settings.h"
#include "agent/task/feature.h"

namespace gantry::agent {

/// Label of a side container: its run, as "<task>/<run>".
inline constexpr const char* side_label = "gantry.side-of";
/// The run that the container stands beside; nothing if it is no side container.
std::optional<wire::RunRef> side_run_of_labels(const std::map<std::string, std::string>& labels);

/// Removes the folders of runs that are not among these. Blocks.
void clear_side_folders(const std::string& directory, const std::set<wire::RunRef>& keep);

class SideContainer {
 public:
  SideContainer(std::string name, SideContainerSettings settings)
      : name_(std::move(name)), settings_(std::move(settings)) {}

  /// Throws Error(not_authorized) unless the agent and the task's scopes allow it.
  Async<> require(RunContext& run) const;
  /// Gets its image, makes it anew, starts it, waits for its socket and adds that to the plan; if it has an alias, the
  /// task's container will share its network, or both that of the one before. `aliases` are those of all of them.
  /// Throws Error: what the engine throws, unavailable with its last words if it ends, deadline_exceeded
  /// (side_start_max).
  Async<> start(RunContext& run, const std::set<std::string>& aliases) const;
  /// What start() has planned, for a container that is there already.
  void plan_again(RunContext& run) const;
  /// With its folder; fine if it is gone.
  Async<> remove(RunContext& run) const;

  const SideContainerSettings& settings() const { return settings_; }

 private:
  std::string container_name(const RunContext& run) const;
  std::string folder(const RunContext& run) const;
  std::string socket_file(const RunContext& run) const;
  engine::ContainerSpec spec(const RunContext& run) const;
  Async<> get_image(RunContext& run) const;
  Async<> create(RunContext& run, engine::ContainerSpec spec) const;
  Async<> await_socket(RunContext& run) const;
  Async<std::string> last_words(RunContext& run) const;

  std::string name_;
  SideContainerSettings settings_;
};

inline constexpr Duration side_start_max = seconds(60);

}  // namespace gantry::agent
