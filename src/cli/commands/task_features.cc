#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "wire/payload_keys.h"

namespace gantry::cli {
namespace {

constexpr std::string_view formats[] = {"table", "json", "yaml", "markdown"};

std::string shown_default(const wire::PayloadKey& key) {
  return key.required ? "required" : std::string(key.otherwise);
}

void print_table() {
  Table table({"NAME", "DEFAULT", "SCOPES", "DESCRIPTION"});
  for (const wire::PayloadKey& key : wire::payload_keys()) {
    table.add({key.path(), shown_default(key), std::string(key.scopes), std::string(key.description)});
  }
  print(table.text());
}

int run(const Arguments& arguments) {
  std::string format = arguments.text("output");
  if (format == "table") {
    print_table();
  } else if (format == "markdown") {
    print(wire::payload_keys_markdown());
  } else {
    print_document(value_or_throw(parse_json(wire::payload_keys_json())), format);
  }
  return exit_ok;
}

}  // namespace

Command task_features_command() {
  return {
      .path = "task features",
      .summary = "List what a task's payload may say",
      .details =
          "Each key with what holds without it, and the scopes that a task needs for it. Which of them an agent\n"
          "can do depends on the agent: what it cannot do fails the task, with a line in its log.",
      .options = {{.name = "output",
                   .kind = ValueKind::choice,
                   .value = "FORMAT",
                   .help = "table, json, yaml or markdown",
                   .otherwise = "table",
                   .choices = formats}},
      .examples = {{"gantry task features", "As a table."}, {"gantry task features --output json", "For programs."}},
      .run = run};
}

}  // namespace gantry::cli
