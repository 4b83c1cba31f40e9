// The devices of this machine that tasks can have (taskcluster.md 1.10): which there are, and which run has which of
// those that only one can use at a time.
//
// A container carries what it has as a label, so that it is known after a restart of the agent.
//
// io_context thread only. Looks at the machine's own /dev and /sys: it must be the machine of the engine.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "wire/node_messages.h"

namespace gantry::agent {

inline constexpr const char* held_devices_label = "gantry.devices";

struct DeviceSettings {
  std::string root;           // before "/dev", "/sys" and "/proc"; tests only
  bool restrict_cpu = false;  // tasks may have a processor of their own
};

class DeviceStore {
 public:
  explicit DeviceStore(DeviceSettings settings) : settings_(std::move(settings)) {}

  /// Of the engine's machine, once it is known.
  void set_cpus(int cpus) { cpus_ = cpus; }

  /// Adds a device ("kvm", "cpu", ...: payload.capabilities.devices) to a run's container; the same one if the run has
  /// it already. Throws Error: unsupported if it is not on this machine, conflict if other runs have them all.
  void give(wire::RunRef run, const std::string& device, engine::ContainerSpec& plan);
  /// What a container has that was started before this agent.
  void restore(wire::RunRef run, const std::map<std::string, std::string>& labels);
  /// The run's container is gone.
  void take_back(wire::RunRef run);
  /// The runs that have something.
  std::set<wire::RunRef> holders() const;

 private:
  std::vector<int> numbers_of(std::string_view device) const;
  std::vector<int> video_devices() const;
  std::vector<int> sound_cards() const;
  int take_one(wire::RunRef run, const std::string& device);

  DeviceSettings settings_;
  int cpus_ = 0;
  std::map<std::pair<std::string, int>, wire::RunRef> held_;  // by device and its number
};

}  // namespace gantry::agent
