// The node process (design 3.9-3.13): claims tasks for its free slots, runs each as one coroutine, keeps the poll
// channel open, and on a restart takes up what still runs.
//
// io_context thread only. Life: construct, start(), stop().
#pragma once

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
  /// Stops claiming. Running tasks are aborted and handed back as worker-shutdown if `abort`; otherwise their
  /// containers are left running for the next start to adopt. Returns when all coroutines have ended.
  Async<> stop(bool abort);

  /// For every request from now on.
  void use_credentials(const wire::HawkCredentials& credentials);

  int running() const;
  /// False until the first poll was answered and the engine has been reached.
  bool ready() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::agent
