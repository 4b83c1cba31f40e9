// The node process (design 3.9-3.13): claims tasks for its free slots, runs each as one coroutine, keeps the poll
// channel open, and on a restart takes up what still runs.
//
// io_context thread only. Life: construct, start(), stop().
#pragma once

#include <memory>
#include <string>

#include "agent/images/registries.h"
#include "base/env.h"
#include "base/ids.h"
#include "engine/engine.h"
#include "net/tls.h"
#include "net/transport.h"
#include "wire/hawk.h"

namespace gantry::agent {

class OpenPgpKey;
class SigningKey;

struct AgentSettings {
  std::string data_directory;  // made if it is not there: the agent's id, spooled logs
  std::string server_host;     // as in the Host header: what requests are signed for
  std::uint16_t server_port = 0;
  bool server_tls = false;  // https
  net::TlsFiles tls_files;
  wire::HawkCredentials credentials;
  std::string name;  // for people; by default the machine's host name
  std::string task_queue = "local/default";
  std::string worker_group = "local";
  std::string worker_id;                                 // by default made from the agent's id
  int slots = 0;                                         // tasks at once; 0: twice the machine's cpus
  std::int64_t log_bytes_max = std::int64_t{256} << 20;  // a task's log; past it the container is killed
  Registries registries;                                 // credentials and mirrors for images
  std::shared_ptr<const SigningKey> signing_key;         // null: tasks with chainOfTrust are refused
  std::shared_ptr<const OpenPgpKey> secrets_key;         // null: tasks with encryptedEnv are refused
  bool restrict_cpu = false;                             // tasks may have a cpu each: no more tasks than cpus then
  bool allow_privileged = false;                         // tasks with the scope may have privileged containers
};

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
