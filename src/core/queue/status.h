// Taskcluster's status structure (taskcluster.md 2.5): what answers and events say of a task.
#pragma once

#include "base/json.h"
#include "core/state/records.h"

namespace gantry::queue {

void append_status(JsonWriter& out, const state::Task& task);

}  // namespace gantry::queue
