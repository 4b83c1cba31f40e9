// Records as the APIs show them, and errors in each dialect.
#pragma once

#include <string>

#include "base/json.h"
#include "core/state/records.h"
#include "net/http.h"
#include "server/api/router.h"

namespace gantry::server {

net::Response json_response(std::string body, int status = 200);

/// Taskcluster's status structure (taskcluster.md 2.5).
void append_status(JsonWriter& out, const state::Task& task);
/// {"status": ...}
std::string status_body(const state::Task& task);
void append_artifact(JsonWriter& out, const state::Artifact& artifact);
/// The task as /v1 shows it: status, definition, and what is known of each run's container and steps.
std::string native_task_body(const state::Task& task, std::string_view definition);

int http_status(ErrorCode code);
/// The error in the dialect's shape; `time` is when.
net::Response error_response(const Error& error, Dialect dialect, std::string_view method_name,
                             std::string_view request_id, Time time);

}  // namespace gantry::server
