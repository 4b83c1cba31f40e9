// Reads a command line by the table of commands. Everything that is wrong becomes a UsageError that names the word and
// the nearest thing that would have been right.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace gantry::cli {

struct ParsedLine {
  enum class Wants { run, help, version };
  Wants wants = Wants::run;
  const Command* command = nullptr;  // null: help on all of it, or on `group`
  std::string group;                 // "task" for `gantry task --help`
  Arguments arguments;
};

class Parser {
 public:
  explicit Parser(const std::vector<Command>& commands) : commands_(commands) {}

  /// `words` without the program's name. Throws UsageError.
  ParsedLine parse(const std::vector<std::string>& words) const;

 private:
  bool is_group(std::string_view word) const;
  /// The command at the front of `words`, with the number of words it took; throws UsageError.
  const Command* find_command(const std::vector<std::string>& words, std::size_t& taken) const;
  [[noreturn]] void unknown_command(const std::vector<std::string>& words) const;
  /// Reads options and arguments from `at` on; true if help was asked for.
  bool read_words(const Command& command, const std::vector<std::string>& words, std::size_t at,
                  Arguments& arguments) const;
  void read_option(const Command& command, const std::vector<std::string>& words, std::size_t& at,
                   Arguments& arguments) const;
  void assign_arguments(const Command& command, const std::vector<std::string>& values, Arguments& arguments) const;

  const std::vector<Command>& commands_;
};

}  // namespace gantry::cli
