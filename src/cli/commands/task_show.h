// What GET /v1/tasks/:id says, for people.
#pragma once

#include <string>

#include "base/json.h"
#include "cli/terminal.h"

namespace gantry::cli {

std::string task_summary(const json::value& task, const Style& style);

}  // namespace gantry::cli
