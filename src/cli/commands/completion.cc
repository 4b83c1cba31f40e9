#include "cli/completion.h"

#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

constexpr std::string_view shells[] = {"bash", "zsh", "fish"};

int run(const Arguments& arguments) {
  std::string shell = arguments.argument("SHELL");
  if (shell == "bash") {
    print(bash_completion());
  } else if (shell == "zsh") {
    print(zsh_completion());
  } else {
    print(fish_completion());
  }
  return exit_ok;
}

}  // namespace

Command completion_command() {
  return {.path = "completion",
          .summary = "Print a script that completes gantry's commands in a shell",
          .arguments = {{.name = "SHELL", .help = "bash, zsh or fish", .choices = shells}},
          .examples = {{"source <(gantry completion bash)", "For this shell; put it into ~/.bashrc for all."},
                       {"gantry completion fish > ~/.config/fish/completions/gantry.fish", "For fish."}},
          .run = run};
}

}  // namespace gantry::cli
