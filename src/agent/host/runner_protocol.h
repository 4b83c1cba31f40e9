// What Taskcluster's worker-runner and its worker say to each other: a line "~{...}" a message, on the worker's
// standard input and output. Other lines belong to nobody. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "wire/hawk.h"

namespace gantry::agent {

/// Cuts bytes into lines. One that is longer than runner_line_bytes_max is passed over.
class RunnerLines {
 public:
  void add(std::string_view bytes);
  /// The next whole line, without its end.
  std::optional<std::string> next();

 private:
  std::string waiting_;
  bool skipping_ = false;  // a line that is too long, until its end
};

struct RunnerMessage {
  enum class Kind { welcome, graceful_termination, new_credentials, unknown };
  Kind kind = Kind::unknown;
  std::vector<std::string> capabilities;  // welcome
  bool finish_tasks = false;              // graceful_termination
  wire::HawkCredentials credentials;      // new_credentials
};

/// Nothing if the line is no message; what a message lacks has its default, but one without credentials is no
/// new_credentials.
std::optional<RunnerMessage> parse_runner_line(std::string_view line);

// Lines to the runner, with their ends.
std::string runner_hello(const std::vector<std::string>& capabilities);
std::string runner_shutdown();
/// Texts are cut so that the line can be written at once.
std::string runner_error_report(std::string_view title, std::string_view description);
std::string runner_log(std::string_view text);

}  // namespace gantry::agent
