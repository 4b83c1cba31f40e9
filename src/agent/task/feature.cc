#include "agent/task/feature.h"

#include <algorithm>

#include <fmt/format.h>

namespace gantry::agent {
namespace {

struct FeatureMaker {
  std::string_view plug_in;  // as in wire::Payload::plug_ins
  std::unique_ptr<Feature> (*make)();
};

/// Done through the native channel alone.
constexpr std::string_view native_only = "features.interactive";

/// What TaskRun does itself, through ImageStore.
constexpr std::unique_ptr<Feature> (*no_feature)() = nullptr;

constexpr FeatureMaker makers[] = {
    {"image.indexed-image", no_feature},
    {"image.task-image", no_feature},
    {"features.localLiveLog", make_live_log},
    {"supersederUrl", make_superseder},  // the first: what is not run needs nothing else
    {"cache", make_caches},
    {"onExitStatus.purgeCaches", make_cache_purge},
    {"capabilities.privileged", make_privileged},
    {"capabilities.disableSeccomp", make_disable_seccomp},
    {"features.allowPtrace", make_allow_ptrace},
    {"features.taskclusterProxy", make_taskcluster_proxy},
    {"capabilities.devices.kvm", make_device_kvm},
    {"capabilities.devices.hostSharedMemory", make_device_host_shared_memory},
    {"capabilities.devices.loopbackVideo", make_device_loopback_video},
    {"capabilities.devices.loopbackAudio", make_device_loopback_audio},
    {"capabilities.devices.cpu", make_device_cpu},
    {"encryptedEnv", make_encrypted_env},
    // After those that plan host names: the first of these has the file of them.
    {"sideContainers", make_side_containers},
    {"features.dind", make_dind},
    {"features.artifacts", make_artifacts},
    {"features.dockerSave", make_docker_save},
    {"graphs", make_graphs},
    {"features.bulkLog", make_bulk_log},
    {"features.interactive", make_interactive},
    {"features.chainOfTrust", make_chain_of_trust},  // the last: it tells of what the others have uploaded
};

bool asks_for(const wire::Payload& payload, std::string_view plug_in) {
  return std::ranges::find(payload.plug_ins, plug_in) != payload.plug_ins.end();
}

}  // namespace

std::vector<std::unique_ptr<Feature>> make_features(const wire::Payload& payload) {
  std::vector<std::unique_ptr<Feature>> features;
  for (const FeatureMaker& maker : makers) {
    if (maker.make && asks_for(payload, maker.plug_in)) features.push_back(maker.make());
  }
  return features;
}

std::optional<std::string> not_available(const wire::Payload& payload, bool native) {
  constexpr std::string_view folder = "features.";
  for (std::string_view plug_in : payload.plug_ins) {
    bool known = std::ranges::find(makers, plug_in, &FeatureMaker::plug_in) != std::end(makers);
    if (known && (native || plug_in != native_only)) continue;
    std::string_view name = plug_in.starts_with(folder) ? plug_in.substr(folder.size()) : plug_in;
    return fmt::format("feature \"{}\" is not available on this worker", name);
  }
  return std::nullopt;
}

}  // namespace gantry::agent
