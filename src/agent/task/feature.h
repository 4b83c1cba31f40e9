// What a task can ask for beyond a container: one plug-in each (agent/task/features/), called at fixed points of a
// run's life: link -> created -> started -> stopped -> killed (taskcluster.md 1.1).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/server_api.h"
#include "agent/task/run_log.h"
#include "engine/engine.h"
#include "wire/payload.h"

namespace gantry::agent {

/// One run while it is worked on. Owned by its TaskRun; features hold a reference during a hook only.
struct RunContext {
  Env& env;
  engine::Engine& engine;
  ServerApi& server;
  Scope& scope;  // of the run: joined before the run is over
  wire::RunRef run;
  Time expires;  // of the task
  wire::Payload payload;
  Signer signer;  // the run's own credentials; replaced by every reclaim
  RunLog& log;
  std::string container;   // empty until it is created
  bool adopted = false;    // taken up after a restart of the agent: the container was started before
  bool succeeded = false;  // from `stopped` on: exit code 0 and nothing that failed since
};

class Feature {
 public:
  virtual ~Feature() = default;
  /// Before anything else. An error here fails the run before it starts.
  virtual Async<> link(RunContext&) { co_return; }
  virtual Async<> created(RunContext&) { co_return; }
  virtual Async<> started(RunContext&) { co_return; }
  /// The container has ended. An error makes a success a failure.
  virtual Async<> stopped(RunContext&) { co_return; }
  /// The last words have been logged.
  virtual Async<> killed(RunContext&) { co_return; }
};

/// Those that this payload has switched on, in the order in which their hooks are called.
std::vector<std::unique_ptr<Feature>> make_features(const wire::Payload& payload);

std::unique_ptr<Feature> make_live_log();
std::unique_ptr<Feature> make_artifacts();

}  // namespace gantry::agent
