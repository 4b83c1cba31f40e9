// The table of commands: one entry says what a command is called, what it takes and what it does. Parsing, help,
// suggestions and shell completion all come from here, so nothing about a command is written twice.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace gantry::cli {

/// What documented exit codes mean; `gantry run` adds its own (commands/run.cc).
inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;

/// The command line itself is wrong: exit code 2.
class UsageError : public Error {
 public:
  explicit UsageError(std::string message, std::string hint = {})
      : Error(ErrorCode::invalid_input, std::move(message), std::move(hint)) {}
};

enum class ValueKind {
  flag,  // takes no value
  text,
  file,
  directory,
  count,     // a whole number from 0
  number,    // a decimal number above 0
  size,      // "256m"
  duration,  // "10m"
  choice,    // one of Option::choices
  pair,      // NAME=VALUE with a name
  queue,     // PROVISIONER/WORKERTYPE
};

struct Option {
  std::string_view name;  // without the dashes
  ValueKind kind = ValueKind::text;
  std::string_view value = {};  // how help calls the value; empty for a flag
  std::string_view help = {};
  std::string_view otherwise = {};  // the default, as it would be typed; empty: none
  std::span<const std::string_view> choices = {};
  bool repeated = false;
};

struct Argument {
  std::string_view name;
  std::string_view help = {};
  bool required = true;
  bool repeated = false;  // takes all that is left; only the last one may
  std::span<const std::string_view> choices = {};
};

struct Example {
  std::string_view command;
  std::string_view says;
};

/// What was typed, checked against the command's entry. A name that the entry does not have is a bug.
class Arguments {
 public:
  bool has(std::string_view option) const;  // was typed
  bool flag(std::string_view option) const { return has(option); }
  /// The value typed last, or the default, or empty.
  std::string text(std::string_view option) const;
  std::vector<std::string> texts(std::string_view option) const;
  std::int64_t count(std::string_view option) const;
  double number(std::string_view option) const;
  std::int64_t size_bytes(std::string_view option) const;
  Duration duration(std::string_view option) const;
  std::vector<std::pair<std::string, std::string>> pairs(std::string_view option) const;

  /// As if it had been typed after all else; the value must be one that the option allows.
  void give(std::string_view option, std::string value);

  /// Empty if an optional argument was not given.
  std::string argument(std::string_view name) const;
  std::vector<std::string> arguments(std::string_view name) const;

 private:
  friend class Parser;
  struct Given {
    std::string_view name;
    std::string value;
  };
  const Option& option(std::string_view name) const;

  const struct Command* command_ = nullptr;
  std::vector<Given> options_;
  std::vector<Given> arguments_;
};

struct Command {
  std::string_view path;     // "task list"
  std::string_view summary;  // one line, no full stop
  std::string_view details = {};
  std::vector<Argument> arguments = {};
  std::vector<Option> options = {};
  std::vector<Example> examples = {};
  /// Options end at the first argument: the rest is somebody else's command line.
  bool arguments_end_options = false;
  int (*run)(const Arguments&) = nullptr;
};

/// All commands, in the order of the overview. Made once.
const std::vector<Command>& commands();
/// A word that groups commands ("task"), with what it is about; empty if it is no group.
std::string_view group_summary(std::string_view word);

// Options that many commands share.
Option url_option();
Option tls_ca_option();  // every command that has url_option() gets it, too
Option data_dir_option();
Option output_option();

}  // namespace gantry::cli
