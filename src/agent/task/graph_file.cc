#include "agent/task/graph_file.h"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/ids.h"

namespace gantry::agent {
namespace {

Error wrong(std::size_t place, std::string_view what) {
  return Error(ErrorCode::invalid_input, fmt::format("tasks[{}]{}", place, what));
}

Result<GraphTask> read_task(json::value& element, std::size_t place, const std::string& group,
                            const std::string& scheduler) {
  json::object* object = element.if_object();
  if (!object) return wrong(place, ": must be an object");
  const json::value* id = object->if_contains("taskId");
  if (!id || !id->is_string() || !TaskId::parse(id->get_string())) return wrong(place, ".taskId: must be a taskId");
  json::value* task = object->if_contains("task");
  json::object* definition = task ? task->if_object() : nullptr;
  if (!definition) return wrong(place, ".task: must be the task's definition");
  (*definition)["taskGroupId"] = group;
  if (!definition->contains("schedulerId")) (*definition)["schedulerId"] = scheduler;
  json::value* before = object->if_contains("requires");
  if (before && before->is_array() && !definition->contains("dependencies")) (*definition)["dependencies"] = *before;
  return GraphTask{std::string(id->get_string()), json::serialize(*definition)};
}

}  // namespace

Result<std::vector<GraphTask>> read_graph(std::string_view text, const std::string& group,
                                          const std::string& scheduler) {
  TRY(json::value document, parse_json(text));
  json::object* object = document.if_object();
  json::value* list = object ? object->if_contains("tasks") : nullptr;
  if (!list || !list->is_array()) return Error(ErrorCode::invalid_input, "must be an object with a list of tasks");
  json::array& elements = list->get_array();
  if (elements.size() > graph_tasks_max) {
    return Error(ErrorCode::invalid_input, fmt::format("has more than {} tasks", graph_tasks_max));
  }
  std::vector<GraphTask> tasks;
  for (std::size_t place = 0; place < elements.size(); ++place) {
    TRY(GraphTask task, read_task(elements[place], place, group, scheduler));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace gantry::agent
