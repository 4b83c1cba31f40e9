#include "cli/completion.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "cli/command.h"

namespace gantry::cli {
namespace {

/// Text inside single quotes of any of the three shells.
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

/// The words that may follow `prefix` ("" or "task"), with what they do; groups once.
std::vector<std::pair<std::string, std::string>> next_words(std::string_view prefix) {
  std::vector<std::pair<std::string, std::string>> words;
  for (const Command& command : commands()) {
    std::string_view path = command.path;
    if (!prefix.empty()) {
      if (!path.starts_with(prefix) || path.size() <= prefix.size() || path[prefix.size()] != ' ') continue;
      path.remove_prefix(prefix.size() + 1);
    }
    auto space = path.find(' ');
    std::string word(path.substr(0, space));
    bool known = std::ranges::any_of(words, [&](const auto& other) { return other.first == word; });
    std::string_view says = space == std::string_view::npos ? command.summary : group_summary(word);
    if (!known) words.emplace_back(std::move(word), says);
  }
  return words;
}

std::vector<std::string> groups() {
  std::vector<std::string> found;
  for (const auto& [word, says] : next_words({})) {
    if (!group_summary(word).empty()) found.push_back(word);
  }
  return found;
}

std::string words_text(std::string_view prefix) {
  std::string text;
  for (const auto& [word, says] : next_words(prefix)) text.append(text.empty() ? "" : " ").append(word);
  return text;
}

std::string options_text(const Command& command) {
  std::string text;
  for (const Option& option : command.options) text += fmt::format("--{} ", option.name);
  for (const Argument& argument : command.arguments) {
    for (std::string_view choice : argument.choices) text.append(choice).append(" ");
  }
  return text + "--help";
}

std::string join(std::span<const std::string_view> words) {
  std::string text;
  for (std::string_view word : words) text.append(text.empty() ? "" : " ").append(word);
  return text;
}

bool is_path(ValueKind kind) { return kind == ValueKind::file || kind == ValueKind::directory; }

/// A case of `path:option` for every option with values that can be offered.
std::string bash_value_cases() {
  std::string out;
  for (const Command& command : commands()) {
    for (const Option& option : command.options) {
      std::string reply;
      if (!option.choices.empty())
        reply = fmt::format("COMPREPLY=($(compgen -W {} -- \"$cur\"))", shell_quoted(join(option.choices)));
      if (option.kind == ValueKind::directory) reply = "COMPREPLY=($(compgen -d -- \"$cur\"))";
      if (option.kind == ValueKind::file) reply = "COMPREPLY=($(compgen -f -- \"$cur\"))";
      if (reply.empty() && option.kind != ValueKind::flag) reply = "COMPREPLY=()";
      if (!reply.empty())
        out += fmt::format("    {}) {}; return ;;\n", shell_quoted(fmt::format("{}:--{}", command.path, option.name)),
                           reply);
    }
  }
  return out;
}

std::string bash_word_cases() {
  std::string out = fmt::format("    '') words={} ;;\n", shell_quoted(words_text({}) + " --help --version"));
  for (const std::string& group : groups())
    out += fmt::format("    {}) words={} ;;\n", shell_quoted(group), shell_quoted(words_text(group) + " --help"));
  for (const Command& command : commands()) {
    out += fmt::format("    {}) words={} ;;\n", shell_quoted(command.path), shell_quoted(options_text(command)));
  }
  return out;
}

std::string group_pattern() {
  std::string pattern;
  for (const std::string& group : groups()) pattern.append(pattern.empty() ? "" : "|").append(group);
  return pattern;
}

std::string first_argument_files() {
  std::string pattern;
  for (const Command& command : commands()) {
    bool file =
        std::ranges::any_of(command.arguments, [](const Argument& argument) { return argument.name == "FILE"; });
    if (file) pattern.append(pattern.empty() ? "" : "|").append(shell_quoted(command.path));
  }
  return pattern;
}

}  // namespace

std::string bash_completion() {
  return fmt::format(
      R"(# Completion of gantry for bash. Load it with: source <(gantry completion bash)
_gantry() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev= path= words= i
  ((COMP_CWORD > 0)) && prev=${{COMP_WORDS[COMP_CWORD-1]}}
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${{COMP_WORDS[i]}} == -* ]] && break
    case $path in
      '') path=${{COMP_WORDS[i]}} ;;
      {0}) path+=" ${{COMP_WORDS[i]}}"; break ;;
      *) break ;;
    esac
  done
  case "$path:$prev" in
{1}  esac
  case "$path" in
{2}  esac
  if [[ $cur != -* ]]; then
    case "$path" in
      {3}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -F _gantry gantry
)",
      group_pattern(), bash_value_cases(), bash_word_cases(), first_argument_files());
}

std::string zsh_completion() {
  std::string cases;
  auto described = [](const std::vector<std::pair<std::string, std::string>>& words) {
    std::string text;
    for (const auto& [word, says] : words)
      text += fmt::format("      {}\n", shell_quoted(fmt::format("{}:{}", word, says)));
    return text;
  };
  cases += fmt::format("    '') entries=(\n{}    ) ;;\n", described(next_words({})));
  for (const std::string& group : groups()) {
    cases += fmt::format("    {}) entries=(\n{}    ) ;;\n", shell_quoted(group), described(next_words(group)));
  }
  for (const Command& command : commands()) {
    std::vector<std::pair<std::string, std::string>> options;
    for (const Option& option : command.options) options.emplace_back(fmt::format("--{}", option.name), option.help);
    options.emplace_back("--help", "show help");
    cases += fmt::format("    {}) entries=(\n{}    ) ;;\n", shell_quoted(command.path), described(options));
  }
  std::string values;
  for (const Command& command : commands()) {
    for (const Option& option : command.options) {
      std::string reply;
      if (!option.choices.empty()) reply = fmt::format("compadd -- {}", join(option.choices));
      if (is_path(option.kind)) reply = option.kind == ValueKind::directory ? "_files -/" : "_files";
      if (!reply.empty())
        values += fmt::format("    {}) {}; return ;;\n",
                              shell_quoted(fmt::format("{}:--{}", command.path, option.name)), reply);
    }
  }
  return fmt::format(
      R"(#compdef gantry
# Completion of gantry for zsh. Load it with: source <(gantry completion zsh)
_gantry() {{
  local cmd= previous=${{words[CURRENT-1]}} i
  local -a entries
  for ((i = 2; i < CURRENT; i++)); do
    [[ ${{words[i]}} == -* ]] && break
    case $cmd in
      '') cmd=${{words[i]}} ;;
      {0}) cmd+=" ${{words[i]}}"; break ;;
      *) break ;;
    esac
  done
  case "$cmd:$previous" in
{1}  esac
  case "$cmd" in
{2}  esac
  _describe 'gantry' entries || _files
}}
if [[ ${{funcstack[1]}} == _gantry ]]; then
  _gantry "$@"
else
  compdef _gantry gantry
fi
)",
      group_pattern(), values, cases);
}

std::string fish_completion() {
  std::string out = "# Completion of gantry for fish. Load it with: gantry completion fish | source\n";
  out +=
      "function __gantry_at\n  set -l words (commandline -opc)\n  set -e words[1]\n  set -l path\n"
      "  for word in $words\n    string match -q -- '-*' $word; and break\n    set -a path $word\n";
  out += fmt::format("    contains -- $path[1] {}; or break\n    test (count $path) -ge 2; and break\n  end\n",
                     fmt::format(fmt::runtime("{}"), fmt::join(groups(), " ")));
  out += "  test \"$path\" = \"$argv\"\nend\ncomplete -c gantry -f\n";
  auto add_words = [&](std::string_view prefix) {
    for (const auto& [word, says] : next_words(prefix)) {
      out += fmt::format("complete -c gantry -n {} -a {} -d {}\n", shell_quoted(fmt::format("__gantry_at {}", prefix)),
                         shell_quoted(word), shell_quoted(says));
    }
  };
  add_words({});
  for (const std::string& group : groups()) add_words(group);
  for (const Command& command : commands()) {
    std::string condition = shell_quoted(fmt::format("__gantry_at {}", command.path));
    for (const Option& option : command.options) {
      std::string line =
          fmt::format("complete -c gantry -n {} -l {} -d {}", condition, option.name, shell_quoted(option.help));
      if (option.kind != ValueKind::flag) line += is_path(option.kind) ? " -r -F" : " -x";
      if (!option.choices.empty()) line += " -a " + shell_quoted(join(option.choices));
      out += line + "\n";
    }
  }
  return out;
}

}  // namespace gantry::cli
