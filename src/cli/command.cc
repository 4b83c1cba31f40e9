#include "cli/command.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "cli/commands/commands.h"

namespace gantry::cli {
namespace {

constexpr std::string_view output_formats[] = {"table", "json", "yaml"};

template <class Number>
Number parsed(const std::string& text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

const Option& Arguments::option(std::string_view name) const {
  auto found = std::ranges::find(command_->options, name, &Option::name);
  GANTRY_ASSERT(found != command_->options.end());
  return *found;
}

bool Arguments::has(std::string_view name) const {
  option(name);
  return std::ranges::find(options_, name, &Given::name) != options_.end();
}

std::string Arguments::text(std::string_view name) const {
  std::string value(option(name).otherwise);
  for (const Given& given : options_) {
    if (given.name == name) value = given.value;
  }
  return value;
}

std::vector<std::string> Arguments::texts(std::string_view name) const {
  std::vector<std::string> values;
  for (const Given& given : options_) {
    if (given.name == name) values.push_back(given.value);
  }
  if (values.empty() && !option(name).otherwise.empty()) values.emplace_back(option(name).otherwise);
  return values;
}

// The parser has checked the values, so these cannot fail.
std::int64_t Arguments::count(std::string_view name) const { return parsed<std::int64_t>(text(name)); }
double Arguments::number(std::string_view name) const { return parsed<double>(text(name)); }
std::int64_t Arguments::size_bytes(std::string_view name) const { return parse_bytes(text(name)).value_or(0); }
Duration Arguments::duration(std::string_view name) const { return parse_duration(text(name)).value_or(Duration(0)); }

std::vector<std::pair<std::string, std::string>> Arguments::pairs(std::string_view name) const {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& value : texts(name)) {
    auto equals = value.find('=');
    pairs.emplace_back(value.substr(0, equals), value.substr(equals + 1));
  }
  return pairs;
}

void Arguments::give(std::string_view name, std::string value) {
  options_.push_back({option(name).name, std::move(value)});
}

std::string Arguments::argument(std::string_view name) const {
  auto values = arguments(name);
  return values.empty() ? std::string() : values.front();
}

std::vector<std::string> Arguments::arguments(std::string_view name) const {
  GANTRY_ASSERT(std::ranges::find(command_->arguments, name, &Argument::name) != command_->arguments.end());
  std::vector<std::string> values;
  for (const Given& given : arguments_) {
    if (given.name == name) values.push_back(given.value);
  }
  return values;
}

const std::vector<Command>& commands() {
  static const std::vector<Command> all = all_commands();
  return all;
}

std::string_view group_summary(std::string_view word) {
  if (word == "node") return "Let machines become nodes, and remove them";
  if (word == "cache") return "Look at the caches of nodes, throw them away";
  if (word == "client") return "Make lasting credentials, and take them away";
  if (word == "role") return "Name sets of scopes";
  if (word == "secret") return "Keep what only some may read";
  if (word == "task") return "Create tasks, look at them, cancel them";
  if (word == "settings") return "Look at an agent's settings, find mistakes in them";
  if (word == "schema") return "Show what tasks may say, for programs";
  if (word == "group") return "Look at all tasks of a group, seal it, cancel it";
  return {};
}

Option url_option() {
  return {
      .name = "url",
      .value = "URL",
      .help = "the server; default: $GANTRY_URL, $TASKCLUSTER_ROOT_URL, or the one that runs on the data directory"};
}

Option tls_ca_option() {
  return {
      .name = "tls-ca",
      .kind = ValueKind::file,
      .value = "FILE",
      .help = "whose signature the server's certificate must have; default: $GANTRY_CA or the system's authorities"};
}

Option data_dir_option() {
  return {.name = "data-dir",
          .kind = ValueKind::directory,
          .value = "DIR",
          .help = "where gantry keeps its data; default: $GANTRY_DATA_DIR or ~/.local/share/gantry"};
}

Option output_option() {
  return {.name = "output",
          .kind = ValueKind::choice,
          .value = "FORMAT",
          .help = "how to print it: table, json or yaml",
          .otherwise = "table",
          .choices = output_formats};
}

}  // namespace gantry::cli
