#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

/// As one word of a shell.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

int run(const Arguments& arguments) {
  DataDirectory directory = data_directory(arguments.text("data-dir"));
  std::string url;
  wire::HawkCredentials credentials;
  try {
    url = read_endpoint(directory);
    credentials = read_credentials(directory);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    throw Error(ErrorCode::not_found, fmt::format("there is no server: nothing was started in {}", directory.path),
                "start one with: gantry dev");
  }
  auto line = [](std::string_view name, std::string_view value) {
    print(fmt::format("export {}={}\n", name, shell_quoted(value)));
  };
  line("GANTRY_URL", url);
  line("TASKCLUSTER_ROOT_URL", url);
  line("TASKCLUSTER_CLIENT_ID", credentials.client_id);
  line("TASKCLUSTER_ACCESS_TOKEN", credentials.access_token);
  return exit_ok;
}

}  // namespace

Command env_command() {
  return {
      .path = "env",
      .summary = "Print where the local server is and its credentials, for a shell",
      .details = "Taskcluster's own clients read the same variables. What it prints is a secret.",
      .options = {data_dir_option()},
      .examples = {{"eval \"$(gantry env)\"", "Point this shell's commands at the local server."}},
      .run = run,
  };
}

}  // namespace gantry::cli
