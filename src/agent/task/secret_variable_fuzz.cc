// What was decrypted, and files with graphs: no crash, and whatever is accepted keeps its bounds.
#include "agent/task/graph_file.h"
#include "agent/task/secret_variable.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  using namespace gantry::agent;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static const TaskId task = *TaskId::parse("fN1SbArXTPSVFNUvaOlinQ");
  auto variable = read_secret_variable(text, task, Time(milliseconds(1)), {"TAKEN"});
  if (variable) {
    const std::string& name = variable.value().name;
    if (name.empty() || name == "TAKEN" || name == "TASK_ID" || name.find('=') != std::string::npos) __builtin_trap();
  }
  auto tasks = read_graph(text, "group", "scheduler");
  if (!tasks) return 0;
  if (tasks.value().size() > graph_tasks_max) __builtin_trap();
  for (const GraphTask& added : tasks.value()) {
    if (added.definition.find("\"taskGroupId\":\"group\"") == std::string::npos) __builtin_trap();
  }
  return 0;
}
