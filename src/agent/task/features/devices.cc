// capabilities.devices: devices of the machine in the container, for those who have the scope (taskcluster.md 1.10,
// agent/devices.h).
#include "agent/devices.h"

#include <fmt/format.h>

#include "agent/task/feature.h"
#include "agent/task/scopes.h"

namespace gantry::agent {
namespace {

class DeviceFeature : public Feature {
 public:
  explicit DeviceFeature(std::string device) : device_(std::move(device)) {}

  Async<> link(RunContext& run) override {
    if (run.adopted) co_return;  // it has it
    co_await require_scope(run, "docker-worker:capability:device:" + device_, "attach devices");
    run.settings.devices->give(run.run, device_, run.plan);
  }

  /// One whose container is still there is taken back by the agent's upkeep.
  Async<> removed(RunContext& run) override {
    if (run.container.empty()) run.settings.devices->take_back(run.run);
    co_return;
  }

 private:
  std::string device_;
};

}  // namespace

std::unique_ptr<Feature> make_device_kvm() { return std::make_unique<DeviceFeature>("kvm"); }
std::unique_ptr<Feature> make_device_host_shared_memory() {
  return std::make_unique<DeviceFeature>("hostSharedMemory");
}
std::unique_ptr<Feature> make_device_loopback_video() { return std::make_unique<DeviceFeature>("loopbackVideo"); }
std::unique_ptr<Feature> make_device_loopback_audio() { return std::make_unique<DeviceFeature>("loopbackAudio"); }
std::unique_ptr<Feature> make_device_cpu() { return std::make_unique<DeviceFeature>("cpu"); }

}  // namespace gantry::agent
