#include <algorithm>
#include <iterator>

#include "cli/commands/commands.h"

namespace gantry::cli {

std::vector<Command> all_commands() {
  std::vector<Command> all = {dev_command(), run_command(), ps_command(), logs_command()};
  std::ranges::move(task_commands(), std::back_inserter(all));
  all.push_back(nodes_command());
  all.push_back(env_command());
  all.push_back(completion_command());
  all.push_back(version_command());
  return all;
}

}  // namespace gantry::cli
