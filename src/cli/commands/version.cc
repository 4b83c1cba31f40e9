#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

int run(const Arguments&) {
  print(fmt::format("gantry {}\n", GANTRY_VERSION));
  return exit_ok;
}

}  // namespace

Command version_command() {
  return {.path = "version",
          .summary = "Print the version of this program",
          .examples = {{"gantry version", "The same as gantry --version."}},
          .run = run};
}

}  // namespace gantry::cli
