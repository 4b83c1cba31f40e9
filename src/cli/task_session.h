// A task from its creation to its end, watched from a terminal: its output goes to stdout, everything else to stderr.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/client.h"
#include "cli/interrupt.h"

namespace gantry::cli {

inline constexpr int exit_time_limit = 124;
inline constexpr int exit_not_run = 125;
inline constexpr int exit_cancelled = 130;

struct SessionTask {
  std::string id;
  std::string task_queue;
  std::string definition;              // JSON
  std::vector<std::string> artifacts;  // to be fetched at the end; a name also stands for what lies below it
  std::string download_directory;
};

/// What to tell the shell about an ended task, and the person.
struct Verdict {
  int exit_code = 0;
  std::string message;  // empty: completed
  std::string hint;
};
/// From what GET /v1/tasks/:id says of a resolved task.
Verdict judge(const json::value& task);

/// Creates the task and returns once the server has it.
Async<> create_task(std::shared_ptr<Client> client, SessionTask task);
/// Follows a created task to its end, fetches its artifacts and returns the exit code. The first interrupt cancels the
/// task. Throws Error if the server refuses or stays away.
Async<int> follow_task(std::shared_ptr<Client> client, SessionTask task, Interrupts& interrupts);

}  // namespace gantry::cli
