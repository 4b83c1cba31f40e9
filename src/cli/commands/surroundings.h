// The options by which an agent's operator says what surrounds tasks' containers: `gantry agent` and `gantry dev`.
#pragma once

#include "agent/settings.h"
#include "cli/parser.h"

namespace gantry::cli {

Option dind_image_option();
Option side_containers_option();
Option superseder_anywhere_option();
Option no_firewall_option();

/// What they say. Throws Error if a file cannot be used.
agent::SurroundingsSettings surroundings_of(const Arguments& arguments);

}  // namespace gantry::cli
