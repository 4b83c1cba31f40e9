// The options that say how an agent's life ends: signals, the host's notice, idleness.
#pragma once

#include "agent/settings.h"
#include "cli/command.h"

namespace gantry::cli {

Option on_stop_option();
agent::OnStop on_stop_of(const Arguments& arguments);

/// Of a command that has the flags of all settings. Throws UsageError.
void read_life(const Arguments& arguments, agent::AgentSettings& settings);

}  // namespace gantry::cli
