// The entries of the table of commands, each made in the file of its command or family.
#pragma once

#include <vector>

#include "agent/images/registries.h"
#include "agent/openpgp.h"
#include "agent/signing_key.h"
#include "cli/command.h"

namespace gantry::cli {

Command dev_command();
Command env_command();
Command run_command();
Command ps_command();
Command logs_command();
Command nodes_command();
Command events_command();
Command server_command();
Command agent_command();
std::vector<Command> node_commands();
std::vector<Command> cache_commands();
Command completion_command();
Command version_command();
std::vector<Command> task_commands();
std::vector<Command> task_change_commands();
Command task_features_command();
Command task_shell_command();
std::vector<Command> schema_commands();
std::vector<Command> settings_commands();
std::vector<Command> group_commands();
std::vector<Command> client_commands();
std::vector<Command> role_commands();
std::vector<Command> secret_commands();

std::vector<Command> all_commands();

// What the commands that start an agent have in common (agent.cc). The readers throw UsageError.
Option pulse_url_file_option();  // server.cc
Option event_log_option();
std::int64_t event_log_of(const Arguments& arguments);  // bytes; 0: not given
Option engine_option();
Option slots_option();
Option log_limit_option();
Option registries_option();
Option allow_privileged_option();
Option signing_key_option();
Option secrets_key_option();
Option restrict_cpu_option();
Option verbose_option();
int slots_of(const Arguments& arguments);  // 0: not given
/// Reads the file; none if it is not given. Throws Error, too.
agent::Registries registries_of(const Arguments& arguments);
// Null if it is not given. They throw Error, too.
std::shared_ptr<const agent::OpenPgpKey> secrets_key_of(const Arguments& arguments);
std::shared_ptr<const agent::SigningKey> signing_key_of(const Arguments& arguments);
std::int64_t log_limit_of(const Arguments& arguments);  // 0: not given

}  // namespace gantry::cli
