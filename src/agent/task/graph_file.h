// A file with tasks to add to a task's group (payload.graphs; extendTaskGraph in taskcluster.md 1.2). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace gantry::agent {

inline constexpr std::size_t graph_tasks_max = 1000;  // of one file
inline constexpr std::int64_t graph_bytes_max = 16 << 20;

struct GraphTask {
  std::string id;
  std::string definition;  // JSON, for createTask
};

/// Reads `{"tasks": [{"taskId": ..., "task": {...}}, ...]}`. Every task goes into `group`, and to `scheduler` unless it
/// names one; ids in "requires", as there were once beside "task", become its dependencies. Keys that it does not know
/// are left alone. Errors (invalid_input) name the place.
Result<std::vector<GraphTask>> read_graph(std::string_view text, const std::string& group,
                                          const std::string& scheduler);

}  // namespace gantry::agent
