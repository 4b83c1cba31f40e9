// What a task can ask for beyond a container: one plug-in each (agent/task/features/), called at fixed points of a
// run's life: link -> created -> started -> stopped -> killed -> removed (taskcluster.md 1.1).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/server_api.h"
#include "agent/task/container_spec.h"
#include "agent/task/run_log.h"
#include "engine/engine.h"
#include "wire/payload.h"

namespace gantry::agent {

class ImageUse;

/// One run while it is worked on. Owned by its TaskRun; features hold a reference during a hook only.
struct RunContext {
  Env& env;
  engine::Engine& engine;
  ServerApi& server;
  Scope& scope;  // of the run: joined before the run is over
  const RunSettings& settings;
  wire::RunRef run;
  Time expires;  // of the task
  wire::Payload payload;
  Signer signer;  // the run's own credentials; replaced by every reclaim
  RunLog& log;
  std::string container = {};         // empty until it is created, and once it is removed
  bool adopted = false;               // taken up after a restart of the agent: the container was started before
  bool succeeded = false;             // from `stopped` on: exit code 0 and nothing that failed since
  std::optional<int> exit_code = {};  // from `stopped` on, if the container ended with one
  /// What is added to the container: `link` may add to variables, labels, mounts, devices, capabilities, hosts, and set
  /// the image (until then that of the payload, if it names one of a registry). See container_spec().
  engine::ContainerSpec plan = {};
  /// What the run may do, roles expanded; nothing until require_scope() has asked for it.
  std::optional<std::vector<std::string>> scopes = {};
  /// What the container is made of (images/image_store.h); from `created` on, but not after a restart of the agent.
  std::shared_ptr<const ImageUse> image = {};
  /// The whole definition of the task, as it was claimed.
  std::shared_ptr<const json::value> task = {};
  /// Set by `link` of a feature that has found a task which makes this one needless: it is not run.
  std::optional<std::string> superseded_by = {};
  /// SHA-256 in hex of what has been uploaded, by name; kept only once a feature has put a map here.
  std::optional<std::map<std::string, std::string>> uploaded = {};
};

class Feature {
 public:
  virtual ~Feature() = default;
  // An error of `link` and `created` fails the run before it starts; if it is one that may pass (may_retry), the hook
  // is called again a little later, twice at most, with the plan as it was before.

  /// Before anything else, of a container that is taken up after a restart, too.
  virtual Async<> link(RunContext&) { co_return; }
  virtual Async<> created(RunContext&) { co_return; }
  virtual Async<> started(RunContext&) { co_return; }
  /// The container has ended. An error makes a success a failure.
  virtual Async<> stopped(RunContext&) { co_return; }
  /// The last words have been logged.
  virtual Async<> killed(RunContext&) { co_return; }
  /// The last call, whatever became of the run, unless the agent itself is stopped. The container is gone, if there was
  /// one; only if the engine does not remove it now, context.container still names it.
  virtual Async<> removed(RunContext&) { co_return; }
};

/// Those that this payload asks for, in the order in which their hooks are called.
std::vector<std::unique_ptr<Feature>> make_features(const wire::Payload& payload);

/// The first thing that the payload asks for and no feature here does: `feature "dind" is not available on this
/// worker`. Some can be done for a native server only.
std::optional<std::string> not_available(const wire::Payload& payload, bool native = true);

std::unique_ptr<Feature> make_live_log();
std::unique_ptr<Feature> make_artifacts();
std::unique_ptr<Feature> make_bulk_log();
std::unique_ptr<Feature> make_interactive();
std::unique_ptr<Feature> make_allow_ptrace();
std::unique_ptr<Feature> make_privileged();
std::unique_ptr<Feature> make_disable_seccomp();
std::unique_ptr<Feature> make_dind();
std::unique_ptr<Feature> make_side_containers();
std::unique_ptr<Feature> make_superseder();
std::unique_ptr<Feature> make_caches();
std::unique_ptr<Feature> make_cache_purge();
std::unique_ptr<Feature> make_taskcluster_proxy();
std::unique_ptr<Feature> make_chain_of_trust();
std::unique_ptr<Feature> make_docker_save();
std::unique_ptr<Feature> make_graphs();
std::unique_ptr<Feature> make_encrypted_env();
std::unique_ptr<Feature> make_device_kvm();
std::unique_ptr<Feature> make_device_host_shared_memory();
std::unique_ptr<Feature> make_device_loopback_video();
std::unique_ptr<Feature> make_device_loopback_audio();
std::unique_ptr<Feature> make_device_cpu();

}  // namespace gantry::agent
