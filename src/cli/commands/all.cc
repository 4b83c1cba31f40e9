#include <algorithm>
#include <iterator>

#include "cli/commands/commands.h"

namespace gantry::cli {

std::vector<Command> all_commands() {
  std::vector<Command> all = {dev_command(), run_command(), ps_command(), logs_command()};
  std::ranges::move(task_commands(), std::back_inserter(all));
  std::ranges::move(task_change_commands(), std::back_inserter(all));
  all.push_back(task_features_command());
  all.push_back(task_shell_command());
  std::ranges::move(group_commands(), std::back_inserter(all));
  all.push_back(nodes_command());
  all.push_back(events_command());
  std::ranges::move(node_commands(), std::back_inserter(all));
  std::ranges::move(cache_commands(), std::back_inserter(all));
  all.push_back(server_command());
  all.push_back(agent_command());
  std::ranges::move(client_commands(), std::back_inserter(all));
  std::ranges::move(role_commands(), std::back_inserter(all));
  std::ranges::move(secret_commands(), std::back_inserter(all));
  std::ranges::move(schema_commands(), std::back_inserter(all));
  std::ranges::move(settings_commands(), std::back_inserter(all));
  all.push_back(env_command());
  all.push_back(completion_command());
  all.push_back(version_command());
  for (Command& command : all) {
    auto url = std::ranges::find(command.options, "url", &Option::name);
    if (url != command.options.end()) command.options.insert(url + 1, tls_ca_option());
  }
  return all;
}

}  // namespace gantry::cli
