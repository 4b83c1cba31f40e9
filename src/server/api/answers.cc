#include "server/api/answers.h"

#include <fmt/format.h>

namespace gantry::server {
namespace {

using state::Run;
using state::Task;

void append_run(JsonWriter& out, const Run& run, std::size_t run_id) {
  out.begin_object().field("runId", static_cast<std::int64_t>(run_id)).field("state", name_of(run.state));
  out.field("reasonCreated", name_of(run.reason_created));
  if (run.reason_resolved != state::ReasonResolved::none) out.field("reasonResolved", name_of(run.reason_resolved));
  if (!run.worker_group.empty()) out.field("workerGroup", run.worker_group).field("workerId", run.worker_id);
  if (run.taken_until != Time()) out.field("takenUntil", run.taken_until);
  out.field("scheduled", run.scheduled);
  if (run.started != Time()) out.field("started", run.started);
  if (run.resolved != Time()) out.field("resolved", run.resolved);
  out.end_object();
}

/// What happened to a run, in order: the queue's own times and the agent's steps.
void append_timeline(JsonWriter& out, const Run& run) {
  out.key("timeline").begin_array();
  auto add = [&](std::string_view step, Time at) {
    if (at != Time()) out.begin_object().field("step", step).field("at", at).end_object();
  };
  add("scheduled", run.scheduled);
  add("claimed", run.started);
  for (const auto& [name, at] : run.exit.steps) add(name, at);
  add("resolved", run.resolved);
  out.end_array();
}

std::string_view taskcluster_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_input: return "InputError";
    case ErrorCode::not_authenticated: return "AuthenticationFailed";
    case ErrorCode::not_authorized: return "InsufficientScopes";
    case ErrorCode::not_found: return "ResourceNotFound";
    case ErrorCode::conflict: return "RequestConflict";
    case ErrorCode::expired: return "ResourceExpired";
    case ErrorCode::too_large: return "InputTooLarge";
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
    case ErrorCode::cancelled: return "ServiceUnavailable";
    case ErrorCode::corrupt:
    case ErrorCode::unsupported:
    case ErrorCode::internal: break;
  }
  return "InternalServerError";
}

}  // namespace

net::Response json_response(std::string body, int status) {
  net::Response response;
  response.status = status;
  response.headers.add("content-type", "application/json; charset=utf-8");
  response.body = std::move(body);
  return response;
}

void append_status(JsonWriter& out, const Task& task) {
  auto slash = task.task_queue.find('/');
  std::string_view queue = task.task_queue;
  out.begin_object().field("taskId", task.id.to_string());
  out.field("provisionerId", queue.substr(0, slash)).field("workerType", queue.substr(slash + 1));
  out.field("taskQueueId", queue).field("schedulerId", task.scheduler).field("projectId", task.project);
  out.field("taskGroupId", task.group.to_string()).field("priority", name_of(task.priority));
  out.field("deadline", task.deadline).field("expires", task.expires).field("retriesLeft", task.retries_left);
  out.field("state", name_of(task.state()));
  out.key("runs").begin_array();
  for (std::size_t i = 0; i < task.runs.size(); ++i) append_run(out, task.runs[i], i);
  out.end_array().end_object();
}

std::string status_body(const Task& task) {
  std::string body;
  body.reserve(1024);
  JsonWriter out(body);
  out.begin_object().key("status");
  append_status(out, task);
  out.end_object();
  return body;
}

void append_artifact(JsonWriter& out, const state::Artifact& artifact) {
  out.begin_object().field("storageType", name_of(artifact.type)).field("name", artifact.id.name);
  out.field("expires", artifact.expires).field("contentType", artifact.content_type);
  if (artifact.content_bytes >= 0) out.field("contentLength", artifact.content_bytes);
  out.end_object();
}

std::string native_task_body(const Task& task, std::string_view definition) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("taskId", task.id.to_string()).field("state", name_of(task.state()));
  out.field("created", task.created);
  out.key("status");
  append_status(out, task);
  out.key("runs").begin_array();
  for (std::size_t i = 0; i < task.runs.size(); ++i) {
    const Run& run = task.runs[i];
    out.begin_object().field("runId", static_cast<std::int64_t>(i)).field("state", name_of(run.state));
    if (run.reason_resolved != state::ReasonResolved::none) out.field("reason", name_of(run.reason_resolved));
    wire::ContainerEnd end = run.exit;
    end.steps.clear();
    wire::append_end(out, end);
    append_timeline(out, run);
    out.end_object();
  }
  out.end_array().key("task").raw(definition);
  out.end_object();
  return body;
}

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_input: return 400;
    case ErrorCode::not_authenticated: return 401;
    case ErrorCode::not_authorized: return 403;
    case ErrorCode::not_found: return 404;
    case ErrorCode::conflict: return 409;
    case ErrorCode::expired: return 410;
    case ErrorCode::too_large: return 413;
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
    case ErrorCode::cancelled: return 503;
    case ErrorCode::corrupt:
    case ErrorCode::unsupported:
    case ErrorCode::internal: break;
  }
  return 500;
}

net::Response error_response(const Error& error, Dialect dialect, std::string_view method_name,
                             std::string_view request_id, Time time) {
  int status = http_status(error.code());
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  if (dialect == Dialect::taskcluster) {
    std::string_view code = taskcluster_code(error.code());
    std::string when = format_time(time);
    std::string message = error.message();
    if (!error.hint().empty()) message += "\n" + error.hint();
    message += fmt::format("\n\n---\n\n* method:     {}\n* errorCode:  {}\n* statusCode: {}\n* time:       {}",
                           method_name, code, status, when);
    out.field("code", code).field("message", message).key("requestInfo").begin_object();
    out.field("method", method_name).key("params").begin_object().end_object();
    out.key("payload").begin_object().end_object().field("time", when).end_object();
  } else {
    out.field("code", error_code_name(error.code())).field("message", error.message());
    if (!error.hint().empty()) out.field("hint", error.hint());
    out.field("requestId", request_id);
  }
  out.end_object();
  net::Response response = json_response(std::move(body), status);
  if (status == 401) response.headers.add("www-authenticate", "hawk");
  if (status == 503) response.headers.add("retry-after", "1");
  return response;
}

}  // namespace gantry::server
