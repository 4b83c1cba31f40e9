// The options by which an agent's operator says what surrounds tasks' containers.
#include "cli/commands/surroundings.h"

#include "cli/settings/agent_settings.h"

namespace gantry::cli {

Option dind_image_option() { return setting_option("dind-image"); }

Option side_containers_option() { return setting_option("side-containers"); }

Option superseder_anywhere_option() { return setting_option("superseder-anywhere"); }

Option no_firewall_option() { return setting_option("no-firewall"); }

agent::SurroundingsSettings surroundings_of(const Arguments& arguments) {
  agent::SurroundingsSettings settings;
  settings.firewall = !arguments.flag("no-firewall");
  settings.dind_image = arguments.text("dind-image");
  if (arguments.has("side-containers")) {
    settings.side_containers = agent::read_side_containers(arguments.text("side-containers"));
  }
  settings.superseder_anywhere = arguments.flag("superseder-anywhere");
  return settings;
}

}  // namespace gantry::cli
