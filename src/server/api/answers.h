// Records as the APIs show them, and errors in each dialect.
#pragma once

#include <string>

#include "base/json.h"
#include "core/queue/status.h"
#include "core/state/records.h"
#include "net/http.h"
#include "server/api/router.h"

namespace gantry::server {

net::Response json_response(std::string body, int status = 200);

using queue::append_status;
/// {"status": ...}
std::string status_body(const state::Task& task);
void append_artifact(JsonWriter& out, const state::Artifact& artifact);
/// The task as /v1 shows it: status, definition, and what is known of each run's container and steps.
std::string native_task_body(const state::Task& task, std::string_view definition);

int http_status(ErrorCode code);
/// The error in the shape of the route's dialect; `time` is when. Taskcluster's tells the path parameters and the JSON
/// body that was refused, without what its keys call secret.
net::Response error_response(const Error& error, const Call& call, Time time);

}  // namespace gantry::server
