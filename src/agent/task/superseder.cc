#include "agent/task/superseder.h"

#include <algorithm>

#include <fmt/format.h>

namespace gantry::agent {

Result<SupersederRequest> superseder_request(std::string_view url, TaskId task) {
  url = url.substr(0, url.find('#'));
  bool web = url.starts_with("http://") || url.starts_with("https://");
  if (!web) return Error(ErrorCode::invalid_input, "it is no http or https URL");
  std::size_t authority = url.find("//") + 2;
  std::size_t end = std::min(url.find_first_of("/?", authority), url.size());
  SupersederRequest request;
  request.base = url.substr(0, end);
  std::string_view rest = url.substr(end);
  if (!rest.starts_with('/')) request.target = "/";
  request.target += rest;
  char separator = rest.find('?') == std::string_view::npos ? '?' : '&';
  request.target += fmt::format("{}taskId={}", separator, task.to_string());
  return request;
}

Result<std::vector<TaskId>> parse_superseded(std::string_view answer, TaskId task) {
  TRY(json::value document, parse_json(answer));
  const json::object* object = document.if_object();
  const json::value* list = object ? object->if_contains("supersedes") : nullptr;
  if (!list || !list->is_array()) return Error(ErrorCode::invalid_input, "its answer has no list \"supersedes\"");
  if (list->get_array().size() > superseded_tasks_max) {
    return Error(ErrorCode::too_large, fmt::format("its answer names more than {} tasks", superseded_tasks_max));
  }
  std::vector<TaskId> tasks;
  for (const json::value& element : list->get_array()) {
    auto id = element.is_string() ? TaskId::parse(std::string_view(element.get_string())) : std::nullopt;
    if (!id) return Error(ErrorCode::invalid_input, "its answer has something that is no taskId");
    if (std::ranges::find(tasks, *id) != tasks.end()) {
      return Error(ErrorCode::invalid_input, fmt::format("its answer names {} twice", id->to_string()));
    }
    tasks.push_back(*id);
  }
  if (std::ranges::find(tasks, task) == tasks.end()) {
    return Error(ErrorCode::invalid_input, "its answer does not name the task itself");
  }
  return tasks;
}

bool has_superseder(const json::value& definition, std::string_view url) {
  const json::object* task = definition.if_object();
  const json::value* payload = task ? task->if_contains("payload") : nullptr;
  const json::object* keys = payload ? payload->if_object() : nullptr;
  const json::value* theirs = keys ? keys->if_contains("supersederUrl") : nullptr;
  return theirs && theirs->is_string() && theirs->get_string() == url;
}

}  // namespace gantry::agent
