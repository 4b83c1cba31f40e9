// Help texts, made from the table of commands.
#pragma once

#include <string>

#include "cli/command.h"

namespace gantry::cli {

/// All commands, one line each.
std::string overview();
/// The commands of a group ("task").
std::string group_help(std::string_view group);
std::string command_help(const Command& command);
/// "gantry task list [OPTIONS] [NAME]"
std::string usage_line(const Command& command);

}  // namespace gantry::cli
