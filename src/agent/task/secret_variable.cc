#include "agent/task/secret_variable.h"

#include <optional>

#include "base/json.h"

namespace gantry::agent {
namespace {

Error wrong(const char* what) { return Error(ErrorCode::invalid_input, what); }

std::optional<std::string> text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<double> number_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

/// Once written as text.
bool is_version_one(const json::object& object) {
  const json::value* version = object.if_contains("messageVersion");
  if (!version) return false;
  if (version->is_string()) return version->get_string() == "1";
  return number_at(object, "messageVersion") == 1;
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && name.find('=') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool is_reserved(std::string_view name) {
  return name == "TASK_ID" || name == "RUN_ID" || name.starts_with("TASKCLUSTER_");
}

}  // namespace

Result<SecretVariable> read_secret_variable(std::string_view text, const TaskId& task, Time now,
                                            const std::set<std::string>& taken) {
  auto document = parse_json(text);
  const json::object* object = document ? document.value().if_object() : nullptr;
  if (!object) return wrong("is not a JSON object");
  if (!is_version_one(*object)) return wrong("its messageVersion is not 1");
  auto name = text_at(*object, "name");
  auto value = text_at(*object, "value");
  auto start = number_at(*object, "startTime");
  auto end = number_at(*object, "endTime");
  if (!name || !value || !start || !end) return wrong("name, value, startTime and endTime must all be there");
  if (text_at(*object, "taskId") != task.to_string()) return wrong("it is meant for another task");
  auto now_ms = static_cast<double>(now.time_since_epoch() / milliseconds(1));
  if (now_ms < *start) return wrong("it is meant for later");
  if (now_ms > *end) return wrong("it has expired");
  if (!is_variable_name(*name) || value->find('\0') != std::string::npos) return wrong("it cannot be a variable");
  if (is_reserved(*name)) return wrong("its name is one that tasks cannot set");
  if (taken.contains(*name)) return wrong("its name is taken by another variable");
  return SecretVariable{std::move(*name), std::move(*value)};
}

}  // namespace gantry::agent
