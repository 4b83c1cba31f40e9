// What an agent needs of the queue it works for: claims, their renewal, the report, where the log goes, news of runs.
// Gantry's own server is reached by its native channel (agent/native_queue.cc); the queue of a foreign Taskcluster by
// nothing but its public API (agent/taskcluster_queue.h).
//
// io_context thread only. All throw Error: what the server said, or unavailable / deadline_exceeded.
#pragma once

#include <memory>
#include <string>

#include "agent/server_api.h"
#include "agent/task/claimed_run.h"

namespace gantry::agent {

struct RunContext;

class QueueLink {
 public:
  virtual ~QueueLink() = default;

  /// Whether the server has more than Taskcluster's public API.
  virtual bool native() const = 0;

  // With the agent's credentials.

  /// Tells what is held and waits for news, for 20 s or so. With `restarted` it does not wait: what was claimed and is
  /// not held is given up, so no claim may be under way.
  virtual Async<wire::NodeNews> poll(Signer signer, NodeId node, wire::NodePoll poll) = 0;
  /// claimWork: waits some 20 s for the first task; its answer. `body` is the request's. The same token again gets the
  /// same claims, if the server is native.
  virtual Async<json::value> claim(Signer signer, std::string task_queue, std::string body, std::string token) = 0;
  /// The claim of a run that this agent began before it was restarted, with new credentials. `worker` is the JSON of
  /// worker group and id.
  virtual Async<json::value> resume(Signer signer, wire::RunRef run, std::string worker) = 0;
  /// New credentials for a run whose own have run out.
  virtual Async<RenewedClaim> renew(Signer signer, wire::RunRef run, std::string worker) = 0;

  // With the run's credentials.

  virtual Async<RenewedClaim> reclaim(Signer signer, wire::RunRef run) = 0;
  virtual Async<> report(Signer signer, wire::RunRef run, wire::RunReport report) = 0;
  /// Appends to a run's live log; returns its size on the server. `name` is the live artifact.
  virtual Async<std::int64_t> append_log(Signer signer, wire::RunRef run, std::string name, std::int64_t offset,
                                         std::string bytes) = 0;
  /// Of a run that is no longer ours: nothing more comes.
  virtual Async<> give_up(Signer signer, wire::RunRef run) = 0;

  // The run's log, apart from what append_log() sends.

  /// The log has begun, and people want to read it from now on. What goes wrong is logged and changes nothing else.
  virtual Async<> show_log(RunContext& run) = 0;
  /// All has been written: puts it where it stays.
  virtual Async<> keep_log(RunContext& run) = 0;
  /// The log's last user is gone when this returns.
  virtual Async<> hide_log(wire::RunRef run) = 0;

  virtual Async<> stop() = 0;
};

std::unique_ptr<QueueLink> make_native_queue(ServerApi& server);

}  // namespace gantry::agent
