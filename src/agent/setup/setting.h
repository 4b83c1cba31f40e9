// The table of an agent's settings: one row says what a setting is called in a file, as a flag and in the environment,
// what it may be and what holds without it. Flags, files, environment, `gantry settings` and docs/settings.md come from
// here.
//
// No setting holds a secret; those that name a file with one are of the kind secret_file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gantry::agent {

enum class SettingKind { text, flag, count, size, duration, choice, file, secret_file, directory, queue };

struct Setting {
  std::string_view key;  // in a file: "garbage.imageExpiration" is {"garbage": {"imageExpiration": ...}}
  SettingKind kind = SettingKind::text;
  std::string_view flag;            // without the dashes
  std::string_view value = {};      // how help calls the value
  std::string_view otherwise = {};  // the default; empty: none, or as help says
  std::string_view help = {};
  std::string_view variable = {};  // an environment variable that other programs know, too
  std::int64_t min = 0;            // of a count; bytes of a size; milliseconds of a duration
  std::int64_t max = 0;            // 0: no limits
  std::span<const std::string_view> choices = {};
  bool negated = false;  // of a flag: typing it means false

  /// "GANTRY_AGENT_GARBAGE_IMAGE_EXPIRATION"
  std::string environment() const;
  /// "a time such as 90s, 10m or 2h, from 1s to 1d"
  std::string expected() const;
};

std::span<const Setting> settings();
/// Null if there is none.
const Setting* find_setting(std::string_view key);

struct Profile {
  std::string_view name;
  std::string_view help;
  std::vector<std::pair<std::string_view, std::string_view>> values;  // by key
};
std::span<const Profile> profiles();

inline constexpr std::size_t settings_file_bytes_max = 256 * 1024;

/// What the settings are, put together from the weakest source to the strongest; each later one replaces what it names.
class EffectiveSettings {
 public:
  struct Value {
    std::string text;  // as it would be typed; "true" or "false" of a flag
    std::string from;  // "default", "profile test", a file's path, "$VARIABLE", "--flag"
  };

  EffectiveSettings();  // the defaults
  /// The profile's name is wrong: invalid_input, with the nearest one.
  Result<void> add_profile(std::string_view name);
  /// A JSON document. Nothing of it is taken if anything is wrong: the error names the file, the key and what was
  /// expected, and of an unknown key the nearest known one.
  Result<void> add_file(std::string_view path, std::string_view text);
  /// `look_up` gives a variable's value, nothing if it is not set; an empty one counts as not set.
  Result<void> add_environment(const std::function<std::optional<std::string>(const std::string&)>& look_up);
  Result<void> add(const Setting& setting, std::string_view text, std::string from);

  const Value& at(std::string_view key) const { return values_.find(key)->second; }
  /// That it was not left at its default.
  bool is_set(std::string_view key) const { return at(key).from != "default"; }

 private:
  std::map<std::string, Value, std::less<>> values_;  // every setting has one
};

/// docs/settings.md.
std::string settings_page();

}  // namespace gantry::agent
