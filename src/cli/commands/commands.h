// The entries of the table of commands, each made in the file of its command or family.
#pragma once

#include <vector>

#include "cli/command.h"

namespace gantry::cli {

Command dev_command();
Command env_command();
Command run_command();
Command ps_command();
Command logs_command();
Command nodes_command();
Command completion_command();
Command version_command();
std::vector<Command> task_commands();

std::vector<Command> all_commands();

}  // namespace gantry::cli
