// An agent as a process: `gantry agent` runs it alone, with credentials of its own; `gantry dev` gives it the server's.
//
// io_context thread only. Life: construct, start(), stop().
#pragma once

#include <memory>
#include <string>

#include "agent/agent.h"
#include "agent/enrolment.h"
#include "cli/agent_events.h"
#include "net/http_client.h"

namespace gantry::cli {

struct AgentProcessSettings {
  agent::AgentSettings agent;  // server_*, tls_files and credentials come from below
  net::Endpoint server;
  std::string engine_url;
};

class AgentProcess {
 public:
  /// Works with `credentials`, for ever.
  AgentProcess(Env& env, AgentProcessSettings settings, wire::HawkCredentials credentials);
  /// Works under an enrolment, and renews it.
  AgentProcess(Env& env, AgentProcessSettings settings, wire::Enrolment enrolment);

  void start();
  Async<> stop(agent::OnStop how);
  AgentEvents& events() { return events_; }
  agent::Agent& agent() { return *agent_; }

 private:
  Async<> check_engine();
  Async<> renew();

  Env& env_;
  AgentProcessSettings settings_;
  std::optional<wire::Enrolment> enrolment_;
  std::shared_ptr<net::Transport> transport_;
  std::shared_ptr<engine::Engine> engine_;
  AgentEvents events_;
  std::unique_ptr<agent::Agent> agent_;
  Scope scope_;
};

/// The settings of a worker that is enrolled like this.
AgentProcessSettings under(AgentProcessSettings settings, const wire::Enrolment& enrolment);

/// The server for requests that are not the agent's own.
std::shared_ptr<agent::ServerApi> server_api(Env& env, const net::Endpoint& server);

/// --engine, or $DOCKER_HOST, or the default socket.
std::string engine_url(const std::string& chosen);

}  // namespace gantry::cli
