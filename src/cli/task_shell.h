// A shell in a running task's container, at this terminal or between pipes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/client.h"

namespace gantry::cli {

struct ShellWish {
  std::string task;
  int run = 0;
  std::vector<std::string> command;  // empty: a shell
};

/// Until the command has ended; its exit code. At a terminal (input and output) the container's side is one too, and
/// every key goes there. Throws Error if there is no shell to be had, or the connection is lost; the terminal is as it
/// was.
Async<int> run_task_shell(std::shared_ptr<Client> client, ShellWish wish);

}  // namespace gantry::cli
