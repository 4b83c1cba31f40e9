#include "agent/setup/setting.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "wire/task_definition.h"

namespace gantry::agent {
namespace {

constexpr std::size_t shown_bytes_max = 60;
constexpr std::size_t value_bytes_max = 4096;
constexpr int nesting_max = 2;  // a group and its settings

Error wrong(std::string message, std::string hint = {}) {
  return Error(ErrorCode::invalid_input, std::move(message), std::move(hint));
}

std::string shown(const Setting& setting, std::int64_t limit) {
  if (setting.kind == SettingKind::size) return format_bytes(limit);
  if (setting.kind == SettingKind::duration) return format_duration(Duration(limit));
  return std::to_string(limit);
}

std::optional<std::int64_t> measure(const Setting& setting, std::string_view text) {
  if (setting.kind == SettingKind::size) return parse_bytes(text);
  if (setting.kind == SettingKind::duration) {
    auto duration = parse_duration(text);
    return duration ? std::optional(duration->count()) : std::nullopt;
  }
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

bool is_right(const Setting& setting, std::string_view text) {
  if (text.size() > value_bytes_max || text.find('\0') != std::string_view::npos) return false;
  switch (setting.kind) {
    case SettingKind::text: return true;
    case SettingKind::flag: return text == "true" || text == "false";
    case SettingKind::file:
    case SettingKind::secret_file:
    case SettingKind::directory: return !text.empty();
    case SettingKind::queue: return wire::is_task_queue_id(text);
    case SettingKind::choice: return std::ranges::find(setting.choices, text) != setting.choices.end();
    case SettingKind::count:
    case SettingKind::size:
    case SettingKind::duration: {
      auto measured = measure(setting, text);
      return measured && (setting.max == 0 || (*measured >= setting.min && *measured <= setting.max));
    }
  }
  return false;
}

bool is_group(std::string_view path) {
  return std::ranges::any_of(settings(), [&](const Setting& setting) {
    return setting.key.size() > path.size() && setting.key.starts_with(path) && setting.key[path.size()] == '.';
  });
}

Error unknown_key(std::string_view path) {
  std::vector<std::string_view> candidates;
  for (const Setting& setting : settings()) candidates.push_back(setting.key);
  std::string_view nearest = nearest_word(path, candidates);
  return wrong(fmt::format("there is no setting \"{}\"", shorten(path, shown_bytes_max)),
               nearest.empty() ? "see: gantry settings show" : fmt::format("did you mean {}?", nearest));
}

/// A number is bytes, seconds, or a count; all else has one spelling.
std::optional<std::string> text_of(const Setting& setting, const json::value& value) {
  bool is_flag = setting.kind == SettingKind::flag;
  if (const bool* on = value.if_bool())
    return is_flag ? std::optional<std::string>(*on ? "true" : "false") : std::nullopt;
  bool is_counted = setting.kind == SettingKind::count;
  bool is_measured = setting.kind == SettingKind::size || setting.kind == SettingKind::duration || is_counted;
  if (const std::int64_t* number = value.if_int64(); number && is_measured) return std::to_string(*number);
  if (const json::string* text = value.if_string(); text && !is_flag && !is_counted) return std::string(*text);
  return std::nullopt;
}

using Found = std::vector<std::pair<const Setting*, std::string>>;

Result<void> read_object(const json::object& object, const std::string& prefix, int depth, Found& found) {
  for (const auto& [name, value] : object) {
    std::string path = prefix.empty() ? std::string(name) : fmt::format("{}.{}", prefix, std::string_view(name));
    const Setting* setting = find_setting(path);
    if (setting) {
      auto text = text_of(*setting, value);
      if (!text || !is_right(*setting, *text)) {
        return wrong(fmt::format("{}: must be {}, not {}", path, setting->expected(),
                                 shorten(json::serialize(value), shown_bytes_max)));
      }
      found.emplace_back(setting, std::move(*text));
    } else if (const json::object* group = value.if_object(); group && depth < nesting_max && is_group(path)) {
      TRY(read_object(*group, path, depth + 1, found));
    } else if (is_group(path)) {
      return wrong(fmt::format("{}: must be an object with settings", shorten(path, shown_bytes_max)));
    } else {
      return unknown_key(path);
    }
  }
  return success();
}

}  // namespace

std::string Setting::environment() const {
  std::string name = "GANTRY_AGENT_";
  for (char c : key) {
    bool upper = c >= 'A' && c <= 'Z';
    if (upper) name += '_';
    name += c == '.' ? '_' : static_cast<char>(upper || c < 'a' ? c : c - 'a' + 'A');
  }
  return name;
}

std::string Setting::expected() const {
  std::string limits = max > 0 ? fmt::format(", from {} to {}", shown(*this, min), shown(*this, max)) : std::string();
  switch (kind) {
    case SettingKind::text: return "a text";
    case SettingKind::flag: return "true or false";
    case SettingKind::count: return "a whole number" + limits;
    case SettingKind::size: return "a size such as 256m or 2g" + limits;
    case SettingKind::duration: return "a time such as 90s, 10m or 2h" + limits;
    case SettingKind::choice: return fmt::format("one of {}", fmt::join(choices, ", "));
    case SettingKind::file:
    case SettingKind::secret_file: return "the path of a file";
    case SettingKind::directory: return "the path of a directory";
    case SettingKind::queue: return "PROVISIONER/WORKERTYPE, such as local/default";
  }
  return {};
}

const Setting* find_setting(std::string_view key) {
  auto found = std::ranges::find(settings(), key, &Setting::key);
  return found == settings().end() ? nullptr : &*found;
}

EffectiveSettings::EffectiveSettings() {
  for (const Setting& setting : settings()) {
    values_[std::string(setting.key)] = Value{std::string(setting.otherwise), "default"};
  }
}

Result<void> EffectiveSettings::add(const Setting& setting, std::string_view text, std::string from) {
  if (!is_right(setting, text)) {
    std::string_view nearest = nearest_word(text, setting.choices);
    return wrong(fmt::format("{}: {} must be {}, not \"{}\"", from, setting.key, setting.expected(),
                             shorten(text, shown_bytes_max)),
                 nearest.empty() ? "" : fmt::format("did you mean {}?", nearest));
  }
  values_[std::string(setting.key)] = Value{std::string(text), std::move(from)};
  return success();
}

Result<void> EffectiveSettings::add_profile(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Profile& profile : profiles()) {
    names.push_back(profile.name);
    if (profile.name != name) continue;
    for (const auto& [key, text] : profile.values) {
      TRY(add(*find_setting(key), text, fmt::format("profile {}", name)));
    }
    return success();
  }
  std::string_view nearest = nearest_word(name, names);
  return wrong(fmt::format("there is no profile \"{}\"", shorten(name, shown_bytes_max)),
               nearest.empty() ? fmt::format("choose one of {}", fmt::join(names, ", "))
                               : fmt::format("did you mean {}?", nearest));
}

Result<void> EffectiveSettings::add_file(std::string_view path, std::string_view text) {
  if (text.size() > settings_file_bytes_max) {
    return Error(ErrorCode::too_large, fmt::format("{}: more than {}", path, format_bytes(settings_file_bytes_max)));
  }
  auto document = parse_json(text);
  if (!document) return document.error().in(path);
  const json::object* object = document.value().if_object();
  if (!object) return wrong(fmt::format("{}: must be a JSON object with settings", path));
  Found found;
  auto read = read_object(*object, {}, 1, found);
  if (!read) return read.error().in(path);
  for (auto& [setting, value] : found) values_[std::string(setting->key)] = Value{std::move(value), std::string(path)};
  return success();
}

Result<void> EffectiveSettings::add_environment(
    const std::function<std::optional<std::string>(const std::string&)>& look_up) {
  for (const Setting& setting : settings()) {
    for (const std::string& name : {std::string(setting.variable), setting.environment()}) {
      auto text = name.empty() ? std::nullopt : look_up(name);
      if (text && !text->empty()) {
        TRY(add(setting, *text, "$" + name));
      }
    }
  }
  return success();
}

std::string settings_page() {
  std::string page =
      "# Settings of an agent\n\n"
      "This page is what `gantry settings page` prints.\n\n"
      "`gantry agent` takes each setting from the strongest place that has it: a flag, else the environment, else the\n"
      "file of `--settings FILE`, else `./gantry-agent.json`, else `~/.config/gantry/agent.json`, else\n"
      "`/etc/gantry/agent.json`, else the profile (`--profile NAME`), else the default. `gantry settings show` prints "
      "what\nholds and where it comes from; `gantry settings check FILE` looks for mistakes.\n\n"
      "A file is a JSON object. A dot in a setting's name is an object in it; a time is a text such as `\"90s\"` or a "
      "number of\nseconds, a size a text such as `\"256m\"` or a number of bytes:\n\n"
      "```json\n{\"slots\": 4, \"garbage\": {\"imageExpiration\": \"12h\"}}\n```\n\n"
      "No setting holds a secret: keys and tokens are in files of their own, which only their owner may read.\n\n"
      "| setting | flag | what it must be | default | what it does |\n|---|---|---|---|---|\n";
  for (const Setting& setting : settings()) {
    std::string otherwise = setting.otherwise.empty() ? std::string() : fmt::format("`{}`", setting.otherwise);
    page += fmt::format("| `{}` | `--{}` | {} | {} | {} |\n", setting.key, setting.flag, setting.expected(), otherwise,
                        setting.help);
  }
  page +=
      "\n## Environment\n\nThe variable of a setting is `GANTRY_AGENT_` and its name in capitals: "
      "`garbage.imageExpiration` "
      "is\n`GANTRY_AGENT_GARBAGE_IMAGE_EXPIRATION`. These are read, too, where that is not set:\n\n"
      "| variable | setting |\n|---|---|\n";
  for (const Setting& setting : settings()) {
    if (!setting.variable.empty()) page += fmt::format("| `{}` | `{}` |\n", setting.variable, setting.key);
  }
  page += "\n## Profiles\n";
  for (const Profile& profile : profiles()) {
    page += fmt::format("\n`{}`: {}.\n\n| setting | value |\n|---|---|\n", profile.name, profile.help);
    for (const auto& [key, text] : profile.values) page += fmt::format("| `{}` | `{}` |\n", key, text);
  }
  return page;
}

}  // namespace gantry::agent
