// The program: finds the command in the table and runs it.
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/help.h"
#include "cli/parser.h"
#include "cli/terminal.h"

namespace {

using namespace gantry;
using namespace gantry::cli;

void complain(const Error& error) {
  Style style(STDERR_FILENO);
  say(fmt::format("{} {}", style.red("gantry:"), error.message()));
  if (!error.hint().empty()) say(fmt::format("        {}", error.hint()));
}

int run(const std::vector<std::string>& words) {
  ParsedLine line = Parser(commands()).parse(words);
  switch (line.wants) {
    case ParsedLine::Wants::help:
      print(line.command ? command_help(*line.command) : line.group.empty() ? overview() : group_help(line.group));
      return exit_ok;
    case ParsedLine::Wants::version: print(fmt::format("gantry {}\n", GANTRY_VERSION)); return exit_ok;
    case ParsedLine::Wants::run: return line.command->run(line.arguments);
  }
  return exit_failed;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    say(overview());
    return exit_usage;
  }
  try {
    return run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const UsageError& error) {
    complain(error);
    return exit_usage;
  } catch (...) {
    complain(error_of(std::current_exception()));
    return exit_failed;
  }
}
