#include "server/api/answers.h"

#include <algorithm>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/text.h"

namespace gantry::server {
namespace {

using state::Run;
using state::Task;

/// What happened to a run, in order: the queue's own times and the agent's steps.
void append_timeline(JsonWriter& out, const Run& run) {
  out.key("timeline").begin_array();
  auto add = [&](std::string_view step, Time at) {
    if (at != Time()) out.begin_object().field("step", step).field("at", at).end_object();
  };
  add("scheduled", run.scheduled);
  add("claimed", run.started);
  if (run.exit) {
    for (const auto& [name, at] : run.exit->steps) add(name, at);
  }
  add("resolved", run.resolved);
  out.end_array();
}

std::string_view taskcluster_code(InputFault fault) {
  switch (fault) {
    case InputFault::meaning: break;
    case InputFault::arguments: return "InvalidRequestArguments";
    case InputFault::syntax: return "MalformedPayload";
    case InputFault::schema: return "InputValidationError";
  }
  return "InputError";
}

std::string_view taskcluster_code(const Error& error) {
  switch (error.code()) {
    case ErrorCode::invalid_input: return taskcluster_code(error.fault());
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

constexpr std::size_t parameter_shown_bytes_max = 1024;

/// True for the key of a value that no answer repeats: "accessToken", "certificate", "AWS_SECRET_ACCESS_KEY".
bool names_a_secret(std::string_view key) {
  static constexpr std::string_view signs[] = {"token", "secret", "credential", "certificate", "password"};
  std::string lower(key);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return std::ranges::any_of(signs, [&](std::string_view sign) { return lower.find(sign) != std::string::npos; });
}

void hide_secrets(json::value& value) {
  if (json::array* array = value.if_array()) {
    for (json::value& element : *array) hide_secrets(element);
  } else if (json::object* object = value.if_object()) {
    for (auto& [key, member] : *object) {
      if (names_a_secret(key)) {
        member = "(not shown)";
      } else {
        hide_secrets(member);
      }
    }
  }
}

/// A request's body for whoever sent it: JSON without its secrets, or "{}" if it is not JSON.
std::string shown_payload(std::string_view body) {
  auto parsed = parse_json(body);
  if (!parsed) return "{}";
  json::value payload = std::move(parsed).assume_value();
  hide_secrets(payload);
  return json::serialize(payload);
}

}  // namespace

net::Response json_response(std::string body, int status) {
  net::Response response;
  response.status = status;
  response.headers.add("content-type", "application/json; charset=utf-8");
  response.body = std::move(body);
  return response;
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
    wire::ContainerEnd end = run.exit ? *run.exit : wire::ContainerEnd();
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

net::Response error_response(const Error& error, const Call& call, Time time) {
  int status = http_status(error.code());
  const std::string& method_name = call.route->name;
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  if (call.route->dialect == Dialect::taskcluster) {
    std::string_view code = taskcluster_code(error);
    std::string when = format_time(time);
    std::string message = error.message();
    if (!error.hint().empty()) message += "\n" + error.hint();
    message += fmt::format("\n\n---\n\n* method:     {}\n* errorCode:  {}\n* statusCode: {}\n* time:       {}",
                           method_name, code, status, when);
    out.field("code", code).field("message", message).key("requestInfo").begin_object();
    out.field("method", method_name).key("params").begin_object();
    for (const auto& [name, value] : call.parameters) out.field(name, shorten(value, parameter_shown_bytes_max));
    out.end_object().key("payload").raw(shown_payload(call.payload)).field("time", when).end_object();
  } else {
    out.field("code", error_code_name(error.code())).field("message", error.message());
    if (!error.hint().empty()) out.field("hint", error.hint());
    out.field("requestId", call.request_id);
  }
  out.end_object();
  net::Response response = json_response(std::move(body), status);
  if (status == 401) response.headers.add("www-authenticate", "hawk");
  if (status == 503) response.headers.add("retry-after", "1");
  return response;
}

}  // namespace gantry::server
