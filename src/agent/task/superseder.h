// payload.supersederUrl (taskcluster.md 1.11): a service of the user's tells which tasks make which others needless.
// Here: its URL and its answer, pure. The feature is in features/superseder.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/json.h"

namespace gantry::agent {

inline constexpr std::size_t superseder_answer_bytes_max = 64 * 1024;
inline constexpr std::size_t superseded_tasks_max = 100;

/// Where to ask about a task: "https://host:port" and "/path?taskId=...".
struct SupersederRequest {
  std::string base;
  std::string target;
};
Result<SupersederRequest> superseder_request(std::string_view url, TaskId task);

/// {"supersedes": [taskId, ...]}, the oldest first. Errors: not JSON, no such list, more than superseded_tasks_max,
/// something that is no taskId, one that is there twice, or a list without `task` itself.
Result<std::vector<TaskId>> parse_superseded(std::string_view answer, TaskId task);

/// Whether a task's definition names this supersederUrl, too: only those that do may be taken out of each other's way.
bool has_superseder(const json::value& definition, std::string_view url);

}  // namespace gantry::agent
