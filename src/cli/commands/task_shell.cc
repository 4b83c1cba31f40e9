#include "cli/task_shell.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/task_session.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

Async<int> newest_run(std::shared_ptr<Client> client, std::string task) {
  json::value found = co_await client->get("/v1/tasks/" + net::percent_encode(task));
  const json::array& runs = array_at(found, "runs");
  if (runs.empty()) {
    throw Error(ErrorCode::conflict, fmt::format("task {} does not run: it waits for other tasks", task));
  }
  co_return static_cast<int>(runs.size()) - 1;
}

Async<int> open_shell(std::shared_ptr<Client> client, Arguments arguments) {
  ShellWish wish;
  wish.task = arguments.argument("TASK");
  wish.command = arguments.arguments("COMMAND");
  if (arguments.has("run")) {
    wish.run = static_cast<int>(arguments.count("run"));
  } else {
    wish.run = co_await newest_run(client, wish.task);
  }
  co_return co_await run_task_shell(client, std::move(wish));
}

/// Whatever keeps the command from being run, or from being heard to its end, is 125: other codes are its own.
int shell(const Arguments& arguments) {
  try {
    return run_with_client(arguments, open_shell);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    Style style(STDERR_FILENO);
    say(fmt::format("{} {}", style.red("gantry:"), error.message()));
    if (!error.hint().empty()) say("        " + error.hint());
    return exit_not_run;
  }
}

}  // namespace

Command task_shell_command() {
  return {
      .path = "task shell",
      .summary = "Open a shell in the container of a running task",
      .details =
          "The task must have been created with payload.features.interactive: true. The shell is there as long as the\n"
          "task's own command runs. At a terminal every key goes to the shell, Ctrl-C too; leave it with exit or "
          "Ctrl-D.\n"
          "In a pipe the command's input and output are this program's. Options of COMMAND stand behind --.\n\n"
          "Exit codes: the command's own; 125 there is no shell to be had, or the connection was lost; 2 the command\n"
          "line is wrong.",
      .arguments = {{.name = "TASK", .help = "the task's id"},
                    {.name = "COMMAND",
                     .help = "what to run; default: bash if the container has it, else sh",
                     .required = false,
                     .repeated = true}},
      .options =
          {{.name = "run", .kind = ValueKind::count, .value = "N", .help = "which run, from 0; default: the newest"},
           url_option(),
           data_dir_option()},
      .examples = {{"gantry task shell fN1SbArXTPSVFNUvaOlinQ", "Look around in the container."},
                   {"gantry task shell fN1SbArXTPSVFNUvaOlinQ -- ps -ef", "Run one command there."},
                   {"tar c src | gantry task shell fN1SbArXTPSVFNUvaOlinQ -- tar x -C /tmp", "Bring files in."}},
      .run = shell,
  };
}

}  // namespace gantry::cli
