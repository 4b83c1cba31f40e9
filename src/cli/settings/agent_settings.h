// Where an agent's settings come from: the built-in defaults, a profile, files, the environment, the command line
// (agent/setup/setting.h has the table).
#pragma once

#include <string>
#include <vector>

#include "agent/setup/setting.h"
#include "cli/command.h"

namespace gantry::cli {

/// --settings and --profile.
std::vector<Option> settings_source_options();
/// A flag for each setting.
std::vector<Option> settings_options();

/// That of one setting, by its flag, which must be in the table.
Option setting_option(std::string_view flag);

/// What holds for `typed`, a command line with the options above. `of_host`, as a file, is what the machine's host
/// says: stronger than files, weaker than the environment; empty: nothing. Throws Error: what is wrong, where, and what
/// would be right. Says on stderr which files with secrets others may read.
agent::EffectiveSettings effective_settings(const Arguments& typed, const std::string& of_host = {});
/// The same as a command line on which everything was typed that is not left at its default.
Arguments with_settings(Arguments typed, const std::string& of_host = {});

/// What a file says, alone. Throws Error.
agent::EffectiveSettings read_settings_file(const std::string& path);
/// The files that are read if they are there, the weakest first.
std::vector<std::string> usual_settings_files();

}  // namespace gantry::cli
