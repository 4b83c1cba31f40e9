// Task definitions from arbitrary bytes: no crash, and what is accepted has one canonical spelling that is accepted
// again as itself.
#include "wire/task_definition.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  using namespace gantry::wire;
  if (size < 1) return 0;
  std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto rule = data[0] % 2 ? PayloadRule::native : PayloadRule::any_object;
  auto rule_of = [&](std::string_view) { return rule; };
  TaskId id = TaskId::from_bytes({0, 0, 0, 0, 0, 0, 0x40, 0, 0x80});
  auto task = parse_task_definition(id, body, rule_of);
  if (!task) {
    if (task.error().message().empty()) __builtin_trap();
    std::string quoted;
    append_json_string(quoted, task.error().message());
    if (!parse_json(quoted)) __builtin_trap();  // an error must fit into an answer
    return 0;
  }
  const TaskDefinition& first = task.value();
  std::size_t bytes_max = definition_bytes_max + dependency_bytes * first.dependencies.size();
  if (first.canonical.size() > bytes_max || !is_task_queue_id(first.task_queue)) __builtin_trap();
  auto again = parse_task_definition(id, first.canonical, rule_of);
  if (!again || again.value().canonical != first.canonical || again.value().digest != first.digest) __builtin_trap();
  return 0;
}
