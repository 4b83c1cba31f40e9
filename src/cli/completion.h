// Shell completion, generated from the table of commands.
#pragma once

#include <string>

namespace gantry::cli {

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace gantry::cli
