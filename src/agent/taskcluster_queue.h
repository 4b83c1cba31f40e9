// The queue of a foreign Taskcluster, by nothing but its public API (taskcluster.md 1.4, 1.14, 2.2).
//
// Claims are kept in a directory, a file of mode 0600 each, with the run's newest credentials: after a restart the
// agent goes on with the runs whose containers are still there, and hands the others back (worker-shutdown), so that
// nobody waits for their claims to run out. A run that was cancelled shows at the next reclaim, or at once with pulse
// (agent/pulse_listener.h), which also ends the pause between two claims that got nothing.
//
// The live log is served by the agent itself (agent/live_log_server.h), on an artifact of type reference; after the run
// the log is uploaded as live_backing.log beside it, and the artifact becomes a link to that.
//
// io_context thread only.
#pragma once

#include <memory>

#include "agent/queue_link.h"
#include "agent/settings.h"

namespace gantry::agent {

/// `directory` is made if it is not there; a file in it that cannot be read is removed. Throws Error if it cannot be
/// used, or if nothing can listen there.
std::unique_ptr<QueueLink> make_taskcluster_queue(Env& env, ServerApi& server, ForeignSettings settings,
                                                  std::string directory, std::string task_queue);

/// The artifact beside a live log that keeps its bytes: "public/logs/live_backing.log".
std::string backing_name(const std::string& live_name);

}  // namespace gantry::agent
