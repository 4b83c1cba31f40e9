// `gantry schema ...`: the JSON schema of payloads.
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "wire/payload_keys.h"

namespace gantry::cli {
namespace {

std::string schema_text() { return to_json_text(value_or_throw(parse_json(wire::payload_schema()))); }

int show(const Arguments&) {
  print(schema_text());
  return exit_ok;
}

int upload(const Arguments& arguments) {
  namespace fs = std::filesystem;
  fs::path path = fs::path(arguments.argument("DIR")) / wire::payload_schema_path;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) {
    throw Error(ErrorCode::unavailable, fmt::format("cannot make {}: {}", path.parent_path().string(), error.message()),
                "choose another directory");
  }
  std::ofstream file(path);
  file << schema_text();
  file.close();
  if (!file) throw Error(ErrorCode::unavailable, fmt::format("cannot write {}", path.string()), "is the disk full?");
  print(path.string() + "\n");
  return exit_ok;
}

}  // namespace

std::vector<Command> schema_commands() {
  return {{.path = "schema show",
           .summary = "Print the JSON schema of a task's payload",
           .details = "The same as a server has at /schemas/docker-worker/v1/payload.json.",
           .examples = {{"gantry schema show", "JSON Schema, draft 6."}},
           .run = show},
          {.path = "schema upload",
           .summary = "Write the schema to where it is published",
           .details = "Makes docker-worker/v1/payload.json in the directory, and prints its path.",
           .arguments = {{.name = "DIR", .help = "what is published, such as the root of a web server"}},
           .examples = {{"gantry schema upload /var/www/schemas", "Next to those of other programs."}},
           .run = upload}};
}

}  // namespace gantry::cli
