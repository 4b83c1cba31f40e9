// What a run may ask of the machine: scopes of the task, as the server expands them (taskcluster.md 1.2).
#pragma once

#include <string>
#include <vector>

#include "agent/task/feature.h"

namespace gantry::agent {

/// What the task itself was given, and its run's own artifacts: without that by which the agent reports on the run.
std::vector<std::string> task_scopes(const RunContext& run);

/// Throws Error(not_authorized, "Insufficient scopes to <do_what>") unless the run has `scope`, or `scope` for this
/// agent's pool: "<scope>:<pool>". The first call asks the server, with the run's own credentials, and throws what that
/// throws.
Async<> require_scope(RunContext& run, std::string scope, std::string do_what);

}  // namespace gantry::agent
