// Splits a run's log into what the task wrote and what the agent wrote around it. Agent lines start with "[taskcluster
// " or "[taskcluster:error] "; where the task had left its last line open, the agent has ended it with "\r\n", which is
// taken away again.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace gantry::cli {

class TaskOutput {
 public:
  /// `on_line` gets each line of the agent, without its prefix.
  explicit TaskOutput(std::function<void(std::string_view)> on_line) : on_line_(std::move(on_line)) {}

  /// The task's bytes out of the next piece of the log. Up to a few dozen bytes may be held back.
  std::string take(std::string_view piece);
  /// What was held back, once the log is over.
  std::string rest();

 private:
  enum class At { line_start, in_line, agent_line };

  void take_byte(char c, std::string& out);
  void agent_line_over();

  std::function<void(std::string_view)> on_line_;
  At at_ = At::line_start;
  std::string line_break_;  // "\r" or "\r\n" that may be the agent's
  std::string held_;        // the start of a line that may become the agent's
};

}  // namespace gantry::cli
