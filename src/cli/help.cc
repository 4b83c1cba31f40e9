#include "cli/help.h"

#include <algorithm>

#include <fmt/format.h>

namespace gantry::cli {
namespace {

constexpr std::size_t wrap_column = 100;
constexpr std::size_t left_column_max = 34;

/// Two columns; the right one wrapped.
void append_row(std::string& out, std::string_view left, std::string_view right, std::size_t left_width) {
  out += fmt::format("  {:<{}}", left, left_width);
  std::size_t indent = left_width + 2;
  std::size_t column = indent;
  if (left.size() > left_width) {
    out += '\n' + std::string(indent, ' ');
  }
  bool first = true;
  while (!right.empty()) {
    auto space = std::min(right.find(' '), right.size());
    std::string_view word = right.substr(0, space);
    right.remove_prefix(std::min(space + 1, right.size()));
    if (!first && column + 1 + word.size() > wrap_column) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
      first = true;
    }
    out += first ? "" : " ";
    out += word;
    column += word.size() + (first ? 0 : 1);
    first = false;
  }
  out += '\n';
}

using Rows = std::vector<std::pair<std::string, std::string>>;

void append_section(std::string& out, std::string_view title, const Rows& rows) {
  if (rows.empty()) return;
  out += fmt::format("\n{}:\n", title);
  std::size_t width = 0;
  for (const auto& [left, right] : rows) {
    if (left.size() <= left_column_max) width = std::max(width, left.size());
  }
  for (const auto& [left, right] : rows) append_row(out, left, right, width + 2);
}

void append_examples(std::string& out, const std::vector<Example>& examples) {
  if (examples.empty()) return;
  out += "\nExamples:\n";
  for (const Example& example : examples) out += fmt::format("  {}\n      {}\n", example.command, example.says);
}

Rows command_rows(std::string_view group) {
  Rows rows;
  std::string prefix = std::string(group) + " ";
  for (const Command& command : commands()) {
    if (!group.empty() && !command.path.starts_with(prefix)) continue;
    rows.emplace_back(command.path, command.summary);
  }
  return rows;
}

}  // namespace

std::string usage_line(const Command& command) {
  std::string line = fmt::format("gantry {}", command.path);
  if (!command.options.empty()) line += " [OPTIONS]";
  for (const Argument& argument : command.arguments) {
    std::string shown = std::string(argument.name) + (argument.repeated ? "..." : "");
    line += argument.required ? " " + shown : fmt::format(" [{}]", shown);
  }
  return line;
}

std::string overview() {
  std::string out =
      "Gantry runs containers: tasks that run once, on this machine or on many.\n\nUsage: gantry COMMAND [OPTIONS]\n";
  append_section(out, "Commands", command_rows({}));
  append_examples(out, {{"gantry dev", "Start a server and an agent on this machine."},
                        {"gantry run debian:12 echo hello", "Run a command in a container and see what it prints."},
                        {"gantry ps", "See what runs and what waits."}});
  out += "\nMore on a command: gantry COMMAND --help\n";
  return out;
}

std::string group_help(std::string_view group) {
  std::string out = fmt::format("{}\n\nUsage: gantry {} COMMAND [OPTIONS]\n", group_summary(group), group);
  append_section(out, "Commands", command_rows(group));
  out += fmt::format("\nMore on a command: gantry {} COMMAND --help\n", group);
  return out;
}

std::string command_help(const Command& command) {
  std::string out = fmt::format("{}.\n\nUsage: {}\n", command.summary, usage_line(command));
  if (!command.details.empty()) out += fmt::format("\n{}\n", command.details);
  Rows arguments;
  for (const Argument& argument : command.arguments) arguments.emplace_back(argument.name, argument.help);
  append_section(out, "Arguments", arguments);
  Rows options;
  for (const Option& option : command.options) {
    std::string left = fmt::format("--{}{}{}", option.name, option.value.empty() ? "" : " ", option.value);
    std::string right(option.help);
    if (option.repeated) right += "; may be repeated";
    if (!option.otherwise.empty()) right += fmt::format(" (default: {})", option.otherwise);
    options.emplace_back(std::move(left), std::move(right));
  }
  options.emplace_back("--help", "show this");
  append_section(out, "Options", options);
  append_examples(out, command.examples);
  return out;
}

}  // namespace gantry::cli
