#include "agent/task/claimed_run.h"

#include <fmt/format.h>

namespace gantry::agent {
namespace {

Error in_answer(std::string_view what) {
  return Error(ErrorCode::invalid_input, fmt::format("the server's claim has no valid {}", what));
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_string()) throw in_answer(key);
  return std::string(value->get_string());
}

Time time_at(const json::object& object, std::string_view key) {
  auto time = parse_time(text_at(object, key));
  if (!time) throw in_answer(key);
  return *time;
}

const json::object& object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_object()) throw in_answer(key);
  return value->get_object();
}

wire::HawkCredentials credentials_at(const json::object& object) {
  const json::object& from = object_at(object, "credentials");
  return {text_at(from, "clientId"), text_at(from, "accessToken"), text_at(from, "certificate")};
}

}  // namespace

ClaimedRun read_claim(const json::value& element) {
  if (!element.is_object()) throw in_answer("element");
  const json::object& object = element.get_object();
  const json::object& task = object_at(object, "task");
  ClaimedRun claim;
  auto id = TaskId::parse(text_at(object_at(object, "status"), "taskId"));
  const json::value* run = object.if_contains("runId");
  if (!id || !run || !run->is_int64()) throw in_answer("taskId and runId");
  claim.run = {*id, static_cast<int>(run->get_int64())};
  claim.taken_until = time_at(object, "takenUntil");
  const json::value* created = task.if_contains("created");
  if (created && created->is_string()) claim.created = parse_time(std::string_view(created->get_string()));
  claim.expires = time_at(task, "expires");
  claim.deadline = time_at(task, "deadline");
  claim.task = std::make_shared<const json::value>(task);
  if (const json::value* payload = task.if_contains("payload")) claim.payload = *payload;
  claim.credentials = credentials_at(object);
  return claim;
}

std::optional<std::string> objection(const wire::Payload& payload, const ClaimedRun& claim) {
  for (const auto& artifact : payload.artifacts) {
    if (artifact.expires && *artifact.expires > claim.expires) {
      return fmt::format("payload.artifacts[\"{}\"].expires must not be greater than task expiration", artifact.name);
    }
  }
  return std::nullopt;
}

RenewedClaim read_renewal(const json::value& answer) {
  if (!answer.is_object()) throw in_answer("object");
  return {time_at(answer.get_object(), "takenUntil"), credentials_at(answer.get_object())};
}

}  // namespace gantry::agent
