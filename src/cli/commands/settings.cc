// `gantry settings ...`: what an agent's settings are, and what is wrong with them.
#include <filesystem>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/settings/agent_settings.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

json::value typed_value(const agent::Setting& setting, const std::string& text) {
  if (text.empty()) return nullptr;
  if (setting.kind == agent::SettingKind::flag) return text == "true";
  if (setting.kind == agent::SettingKind::count) return static_cast<std::int64_t>(std::stoll(text));
  return json::value(text);
}

void print_json(const agent::EffectiveSettings& settings) {
  json::object all;
  for (const agent::Setting& setting : agent::settings()) {
    const auto& value = settings.at(setting.key);
    all[setting.key] = json::object{{"value", typed_value(setting, value.text)}, {"from", value.from}};
  }
  print(to_json_text(all));
}

int show(const Arguments& arguments) {
  agent::EffectiveSettings settings = effective_settings(arguments);
  if (arguments.flag("json")) {
    print_json(settings);
    return exit_ok;
  }
  Table table({"SETTING", "VALUE", "FROM"});
  for (const agent::Setting& setting : agent::settings()) {
    const auto& value = settings.at(setting.key);
    table.add({std::string(setting.key), value.text.empty() ? "-" : value.text, value.from});
  }
  print(table.text());
  return exit_ok;
}

int check(const Arguments& arguments) {
  std::vector<std::string> files = arguments.arguments("FILE");
  bool named = !files.empty();
  if (!named) files = usual_settings_files();
  int wrong = 0;
  for (const std::string& file : files) {
    if (!named && !std::filesystem::exists(file)) continue;
    try {
      read_settings_file(file);
      print(fmt::format("{}: fine\n", file));
    } catch (const Error& error) {
      say(fmt::format("gantry: {}", error.message()));
      if (!error.hint().empty()) say(fmt::format("        {}", error.hint()));
      ++wrong;
    }
  }
  return wrong == 0 ? exit_ok : exit_failed;
}

int page(const Arguments&) {
  print(agent::settings_page());
  return exit_ok;
}

std::vector<Option> show_options() {
  std::vector<Option> options = settings_source_options();
  options.push_back({.name = "json", .kind = ValueKind::flag, .help = "print them as JSON"});
  for (const Option& option : settings_options()) options.push_back(option);
  return options;
}

}  // namespace

std::vector<Command> settings_commands() {
  return {{.path = "settings show",
           .summary = "Print an agent's settings, and where each comes from",
           .details = "Takes the options of gantry agent, and shows what an agent with them would work by.",
           .options = show_options(),
           .examples = {{"gantry settings show", "Of an agent that is started here without options."},
                        {"gantry settings show --profile test --json", "For programs."}},
           .run = show},
          {.path = "settings check",
           .summary = "Look for mistakes in settings files",
           .arguments = {{.name = "FILE",
                          .help = "the files; else those that an agent would read here",
                          .required = false,
                          .repeated = true}},
           .examples = {{"gantry settings check agent.json", "Exit code 1 if something is wrong with it."}},
           .run = check},
          {.path = "settings page",
           .summary = "Print the page of the manual with all settings",
           .examples = {{"gantry settings page > docs/settings.md", "After a change of the table."}},
           .run = page}};
}

}  // namespace gantry::cli
