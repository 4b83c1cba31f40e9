// Tasks as answers show them: their records, once those are durable, and their definitions.
#pragma once

#include <string>

#include "server/api/router.h"
#include "server/services.h"

namespace gantry::server {

/// A copy of the task as it is now, once that is durable; nothing if there is none.
Async<std::optional<state::Task>> find_durable_task(Services& services, TaskId id);
/// The same; throws Error(not_found).
Async<state::Task> durable_task(Services& services, TaskId id);

/// The definition of a task whose priority is `now`. `stored` is the canonical spelling of the one it had first; that
/// is the answer itself unless the priority was changed, else `changed` holds it.
std::string_view current_definition(wire::Priority now, const std::string& stored, std::string& changed);
/// The same, read.
Async<std::string> read_definition(Services& services, const state::Task& task);

/// What somebody needs who wants to do `verb` ("schedule", "rerun", "cancel") to this task.
access::ScopeExpression scopes_to(std::string_view verb, const state::Task& task);

/// Adds {"status":..., "task":...} of those tasks to the open array, stopping once `body` is larger than
/// page_bytes_max; tasks that are gone are left out. Returns how many of the ids were dealt with, 1 at least.
Async<std::size_t> append_tasks(Services& services, std::vector<TaskId> ids, std::string& body, JsonWriter& out);

}  // namespace gantry::server
