#include "cli/settings/agent_settings.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/files.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

using agent::Setting;
using agent::SettingKind;

ValueKind value_kind(SettingKind kind) {
  switch (kind) {
    case SettingKind::text: return ValueKind::text;
    case SettingKind::flag: return ValueKind::flag;
    case SettingKind::count: return ValueKind::count;
    case SettingKind::size: return ValueKind::size;
    case SettingKind::duration: return ValueKind::duration;
    case SettingKind::choice: return ValueKind::choice;
    case SettingKind::file:
    case SettingKind::secret_file: return ValueKind::file;
    case SettingKind::directory: return ValueKind::directory;
    case SettingKind::queue: return ValueKind::queue;
  }
  return ValueKind::text;
}

Option option_of(const Setting& setting) {
  bool is_flag = setting.kind == SettingKind::flag;
  return {.name = setting.flag,
          .kind = value_kind(setting.kind),
          .value = setting.value,
          .help = setting.help,
          .otherwise = is_flag ? std::string_view() : setting.otherwise,
          .choices = setting.choices};
}

/// Files that are read if they are there. One that cannot be read is an error, not a default.
void add_file(agent::EffectiveSettings& settings, const std::string& path, bool required) {
  std::string text;
  try {
    text = read_text_file(path, agent::settings_file_bytes_max);
  } catch (const Error& error) {
    if (!required && error.code() == ErrorCode::not_found) return;
    throw;
  }
  value_or_throw(settings.add_file(path, text));
}

void warn_of_open_secrets(const agent::EffectiveSettings& settings) {
  for (const Setting& setting : agent::settings()) {
    if (setting.kind != SettingKind::secret_file) continue;
    const std::string& path = settings.at(setting.key).text;
    struct ::stat found{};
    if (path.empty() || ::stat(path.c_str(), &found) != 0 || (found.st_mode & (S_IRWXG | S_IRWXO)) == 0) continue;
    say(fmt::format("gantry: {} ({}) can be read by others on this machine; chmod 600 it", path, setting.key));
  }
}

}  // namespace

std::vector<Option> settings_source_options() {
  return {{.name = "settings",
           .kind = ValueKind::file,
           .value = "FILE",
           .help = "JSON file with settings, stronger than the usual ones: ./gantry-agent.json, "
                   "~/.config/gantry/agent.json, /etc/gantry/agent.json"},
          {.name = "profile",
           .value = "NAME",
           .help = "settings for a purpose, weaker than those of any file: production, test or development; default: "
                   "$GANTRY_AGENT_PROFILE"}};
}

std::vector<Option> settings_options() {
  std::vector<Option> options;
  for (const Setting& setting : agent::settings()) options.push_back(option_of(setting));
  return options;
}

Option setting_option(std::string_view flag) {
  auto found = std::ranges::find(agent::settings(), flag, &Setting::flag);
  GANTRY_ASSERT(found != agent::settings().end());
  return option_of(*found);
}

std::vector<std::string> usual_settings_files() {
  std::vector<std::string> files = {"/etc/gantry/agent.json"};
  if (const char* home = std::getenv("HOME"); home && *home) {
    files.push_back(std::string(home) + "/.config/gantry/agent.json");
  }
  files.emplace_back("./gantry-agent.json");
  return files;
}

agent::EffectiveSettings read_settings_file(const std::string& path) {
  agent::EffectiveSettings settings;
  add_file(settings, path, true);
  warn_of_open_secrets(settings);
  return settings;
}

agent::EffectiveSettings effective_settings(const Arguments& typed, const std::string& of_host) {
  agent::EffectiveSettings settings;
  std::string profile = typed.text("profile");
  if (const char* variable = std::getenv("GANTRY_AGENT_PROFILE"); profile.empty() && variable) profile = variable;
  if (!profile.empty()) value_or_throw(settings.add_profile(profile));
  for (const std::string& file : usual_settings_files()) add_file(settings, file, false);
  if (typed.has("settings")) add_file(settings, typed.text("settings"), true);
  if (!of_host.empty()) value_or_throw(settings.add_file("settings of the machine's host", of_host));
  value_or_throw(settings.add_environment([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  }));
  for (const Setting& setting : agent::settings()) {
    if (!typed.has(setting.flag)) continue;
    bool is_flag = setting.kind == SettingKind::flag;
    std::string text = is_flag ? (setting.negated ? "false" : "true") : typed.text(setting.flag);
    value_or_throw(settings.add(setting, text, fmt::format("--{}", setting.flag)));
  }
  warn_of_open_secrets(settings);
  return settings;
}

Arguments with_settings(Arguments typed, const std::string& of_host) {
  agent::EffectiveSettings settings = effective_settings(typed, of_host);
  for (const Setting& setting : agent::settings()) {
    if (typed.has(setting.flag) || !settings.is_set(setting.key)) continue;
    const std::string& text = settings.at(setting.key).text;
    if (setting.kind != SettingKind::flag) {
      typed.give(setting.flag, text);
    } else if (text == (setting.negated ? "false" : "true")) {
      typed.give(setting.flag, {});
    }
  }
  return typed;
}

}  // namespace gantry::cli
