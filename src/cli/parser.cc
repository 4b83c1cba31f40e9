#include "cli/parser.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "wire/task_definition.h"

namespace gantry::cli {
namespace {

constexpr std::size_t shown_bytes_max = 60;

std::string in_quotes(std::string_view word) { return fmt::format("\"{}\"", shorten(word, shown_bytes_max)); }

std::string see_help(std::string_view path) {
  return path.empty() ? "see: gantry --help" : fmt::format("see: gantry {} --help", path);
}

template <class Number>
bool is_number(std::string_view text, Number& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::string join(std::span<const std::string_view> words) {
  std::string text;
  for (std::string_view word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

/// What a value must be, if it is not that; else empty.
std::string complaint(const Option& option, std::string_view value) {
  std::int64_t whole = 0;
  double decimal = 0;
  switch (option.kind) {
    case ValueKind::flag:
    case ValueKind::text: return {};
    case ValueKind::file:
    case ValueKind::directory: return value.empty() ? "must not be empty" : "";
    case ValueKind::count: return is_number(value, whole) && whole >= 0 ? "" : "must be a whole number";
    case ValueKind::number:
      return is_number(value, decimal) && decimal > 0 ? "" : "must be a number above 0, such as 0.5";
    case ValueKind::size: return parse_bytes(value) ? "" : "must be a size such as 256m or 2g";
    case ValueKind::duration: return parse_duration(value) ? "" : "must be a time such as 90s, 10m or 2h";
    case ValueKind::choice:
      return std::ranges::find(option.choices, value) != option.choices.end()
                 ? ""
                 : "must be one of " + join(option.choices);
    case ValueKind::pair: {
      auto equals = value.find('=');
      return equals != std::string_view::npos && equals > 0 ? "" : fmt::format("must be {}", option.value);
    }
    case ValueKind::queue:
      return wire::is_task_queue_id(value) ? "" : "must be PROVISIONER/WORKERTYPE, such as local/default";
  }
  return {};
}

void check_value(const Option& option, std::string_view value) {
  std::string wrong = complaint(option, value);
  if (wrong.empty()) return;
  std::string hint;
  if (option.kind == ValueKind::choice) {
    auto nearest = nearest_word(value, option.choices);
    if (!nearest.empty()) hint = fmt::format("did you mean {}?", nearest);
  }
  throw UsageError(fmt::format("--{} {}: {}", option.name, in_quotes(value), wrong), std::move(hint));
}

void check_argument(const Argument& argument, std::string_view value) {
  if (argument.choices.empty() || std::ranges::find(argument.choices, value) != argument.choices.end()) return;
  auto nearest = nearest_word(value, argument.choices);
  throw UsageError(fmt::format("{} {}: must be one of {}", argument.name, in_quotes(value), join(argument.choices)),
                   nearest.empty() ? "" : fmt::format("did you mean {}?", nearest));
}

std::vector<std::string_view> split_words(std::string_view path) {
  std::vector<std::string_view> words;
  while (!path.empty()) {
    auto space = std::min(path.find(' '), path.size());
    words.push_back(path.substr(0, space));
    path.remove_prefix(std::min(space + 1, path.size()));
  }
  return words;
}

bool asks_for_help(std::string_view word) { return word == "--help" || word == "-h"; }

}  // namespace

bool Parser::is_group(std::string_view word) const {
  return std::ranges::any_of(commands_, [&](const Command& command) {
    return command.path.size() > word.size() && command.path.starts_with(word) && command.path[word.size()] == ' ';
  });
}

const Command* Parser::find_command(const std::vector<std::string>& words, std::size_t& taken) const {
  for (const Command& command : commands_) {
    auto path = split_words(command.path);
    if (path.size() <= words.size() && std::equal(path.begin(), path.end(), words.begin())) {
      taken = path.size();
      return &command;
    }
  }
  unknown_command(words);
}

void Parser::unknown_command(const std::vector<std::string>& words) const {
  bool in_group = is_group(words[0]);
  if (!in_group && words[0].starts_with('-')) {
    throw UsageError(fmt::format("unknown option {}", shorten(words[0], shown_bytes_max)),
                     "options follow the command: gantry COMMAND [OPTIONS]; see: gantry --help");
  }
  if (in_group && words.size() == 1) {
    throw UsageError(fmt::format("gantry {} needs a command", words[0]), see_help(words[0]));
  }
  std::vector<std::string_view> candidates;
  for (const Command& command : commands_) {
    auto path = split_words(command.path);
    if (!in_group) candidates.push_back(path[0]);
    if (in_group && path.size() > 1 && path[0] == words[0]) candidates.push_back(path[1]);
  }
  std::string_view group = in_group ? std::string_view(words[0]) : std::string_view();
  std::string_view nearest = nearest_word(words[in_group ? 1 : 0], candidates);
  std::string typed = in_group ? words[0] + " " + words[1] : words[0];
  std::string hint = nearest.empty() ? see_help(group)
                                     : fmt::format("did you mean gantry {}{}{}?", group, in_group ? " " : "", nearest);
  throw UsageError(fmt::format("unknown command {}", in_quotes(typed)), std::move(hint));
}

ParsedLine Parser::parse(const std::vector<std::string>& words) const {
  ParsedLine line;
  if (words.empty()) throw UsageError("no command was given", see_help({}));
  if (words[0] == "help") {
    std::vector<std::string> rest(words.begin() + 1, words.end());
    rest.emplace_back("--help");
    return parse(rest);
  }
  if (asks_for_help(words[0]) || words[0] == "--version") {
    line.wants = words[0] == "--version" ? ParsedLine::Wants::version : ParsedLine::Wants::help;
    return line;
  }
  if (words.size() == 2 && is_group(words[0]) && asks_for_help(words[1])) {
    line.wants = ParsedLine::Wants::help;
    line.group = words[0];
    return line;
  }
  std::size_t at = 0;
  line.command = find_command(words, at);
  line.arguments.command_ = line.command;
  if (read_words(*line.command, words, at, line.arguments)) line.wants = ParsedLine::Wants::help;
  return line;
}

bool Parser::read_words(const Command& command, const std::vector<std::string>& words, std::size_t at,
                        Arguments& arguments) const {
  std::vector<std::string> values;
  bool options_over = false;
  for (; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "--" && !options_over) {
      options_over = true;
    } else if (!options_over && asks_for_help(word)) {
      return true;
    } else if (!options_over && word.size() > 1 && word.starts_with('-')) {
      read_option(command, words, at, arguments);
    } else {
      values.push_back(word);
      if (command.arguments_end_options && values.size() == 1) {
        options_over = true;
        if (at + 1 < words.size() && words[at + 1] == "--") ++at;
      }
    }
  }
  assign_arguments(command, values, arguments);
  return false;
}

void Parser::read_option(const Command& command, const std::vector<std::string>& words, std::size_t& at,
                         Arguments& arguments) const {
  std::string_view word = words[at];
  std::string_view name = word.starts_with("--") ? word.substr(2) : std::string_view();
  auto equals = name.find('=');
  std::string_view value = equals == std::string_view::npos ? std::string_view() : name.substr(equals + 1);
  name = name.substr(0, equals);
  auto option = std::ranges::find(command.options, name, &Option::name);
  if (name.empty() || option == command.options.end()) {
    std::vector<std::string_view> candidates;
    for (const Option& known : command.options) candidates.push_back(known.name);
    std::string_view nearest = nearest_word(name.empty() ? word.substr(1) : name, candidates);
    bool has_formats = std::ranges::find(candidates, "output") != candidates.end();
    if (has_formats && name == "json") nearest = "output json";
    if (has_formats && name == "yaml") nearest = "output yaml";
    std::string shown = shorten(word.substr(0, word.find('=')), shown_bytes_max);
    throw UsageError(fmt::format("gantry {} has no option {}", command.path, shown),
                     nearest.empty() ? see_help(command.path) : fmt::format("did you mean --{}?", nearest));
  }
  bool has_value = equals != std::string_view::npos;
  if (option->kind == ValueKind::flag) {
    if (has_value) throw UsageError(fmt::format("--{} takes no value", option->name), see_help(command.path));
  } else if (!has_value) {
    if (at + 1 >= words.size()) {
      throw UsageError(fmt::format("--{} needs a value: --{} {}", option->name, option->name, option->value),
                       see_help(command.path));
    }
    value = words[++at];
  }
  check_value(*option, value);
  arguments.options_.push_back({option->name, std::string(value)});
}

void Parser::assign_arguments(const Command& command, const std::vector<std::string>& values,
                              Arguments& arguments) const {
  std::size_t next = 0;
  for (const Argument& argument : command.arguments) {
    if (argument.required && next >= values.size()) {
      std::string example = command.examples.empty() ? std::string() : std::string(command.examples.front().command);
      throw UsageError(fmt::format("gantry {} needs {}: {}", command.path, argument.name, argument.help),
                       example.empty() ? see_help(command.path) : "for example: " + example);
    }
    std::size_t end = argument.repeated ? values.size() : std::min(next + 1, values.size());
    for (; next < end; ++next) {
      check_argument(argument, values[next]);
      arguments.arguments_.push_back({argument.name, values[next]});
    }
  }
  if (next < values.size()) {
    throw UsageError(fmt::format("gantry {} takes no argument {}", command.path, in_quotes(values[next])),
                     see_help(command.path));
  }
}

}  // namespace gantry::cli
