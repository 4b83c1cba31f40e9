// The node process (design 3.9-3.13): claims tasks for its free slots, runs each as one coroutine, keeps the poll
// channel open, and on a restart takes up what still runs.
//
// io_context thread only. Life: construct, start(), stop().
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "agent/settings.h"
#include "base/env.h"
#include "base/ids.h"
#include "engine/engine.h"
#include "net/transport.h"

namespace gantry::agent {

/// The id that this data directory's agent keeps for life; made with the directory at the first call. Throws Error if
/// the directory cannot be used.
NodeId agent_id(Env& env, const std::string& directory);

class Agent {
 public:
  /// Reads or makes the agent's id in the data directory. Throws Error if the directory cannot be used.
  Agent(Env& env, AgentSettings settings, std::shared_ptr<net::Transport> server,
        std::shared_ptr<engine::Engine> engine);
  ~Agent();

  /// Starts working; returns at once. An engine or a server that does not answer is waited for.
  void start();
  /// Stops claiming, then does with the running tasks as `how` says. Returns when all coroutines have ended.
  Async<> stop(OnStop how);
  /// While stop(OnStop::finish) waits: waits no longer, hands back what still runs.
  void hand_back();

  /// For every request from now on.
  void use_credentials(const wire::HawkCredentials& credentials);

  int running() const;
  /// Runs begun or taken up since the start.
  std::uint64_t begun() const;
  /// False until the first poll was answered and the engine has been reached.
  bool ready() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::agent
