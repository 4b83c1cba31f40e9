// `gantry dev`: a server and an agent in one process, talking over real HTTP, on one data directory.
#pragma once

#include <memory>
#include <string>

#include "agent/images/registries.h"
#include "agent/openpgp.h"
#include "agent/settings.h"
#include "agent/signing_key.h"
#include "cli/credentials.h"
#include "cli/server_process.h"

namespace gantry::cli {

struct DevSettings {
  DataDirectory data;
  bool data_was_named = false;  // clients need the same --data-dir
  ListenerSettings listener;
  std::string pulse_url;
  std::int64_t event_log_bytes_max = 0;  // 0: the server's default
  std::string engine_url;
  std::string task_queue;
  int slots = 0;                   // 0: the agent's default
  std::int64_t log_bytes_max = 0;  // 0: the agent's default
  agent::Registries registries;
  bool allow_privileged = false;
  agent::SurroundingsSettings surroundings;
  std::shared_ptr<const agent::SigningKey> signing_key;  // null: tasks with chainOfTrust are refused
  std::shared_ptr<const agent::OpenPgpKey> secrets_key;  // null: tasks with encryptedEnv are refused
  bool restrict_cpu = false;
  agent::OnStop on_stop = agent::OnStop::leave;
};

/// Until SIGINT or SIGTERM. Throws Error if it cannot start.
int run_dev(const DevSettings& settings);

}  // namespace gantry::cli
