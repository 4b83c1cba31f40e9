// The end of a run's log: from a live file to an artifact.
#pragma once

#include "server/services.h"

namespace gantry::server {

/// "public/logs/live.log" -> "public/logs/live_backing.log".
std::string backing_name(const std::string& live_name);
/// Name of the object that holds an artifact.
std::string artifact_object(const state::ArtifactId& id);
/// Path under which a live log is read.
std::string live_log_path(wire::RunRef run);

/// Closes the log, stores it as the backing artifact, and makes the live name a link to it. Does nothing if that has
/// been done. A file without a live artifact that could lead to it is removed once the run is over. Throws
/// Error(conflict) unless all `bytes` have arrived (-1: as many as there are).
Async<> finish_log(Services& services, wire::RunRef run, std::int64_t bytes);

/// Is the log stored already, although its live artifact is not a link yet?
Async<bool> is_log_stored(Services& services, wire::RunRef run, std::string live_name);

/// Is the run resolved, or not known (any more)? Of a run that runs, the task is in memory.
bool is_run_over(const state::State& state, wire::RunRef run);

}  // namespace gantry::server
