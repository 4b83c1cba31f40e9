// What a user's service answers: no bytes do harm, and what is accepted names the task itself, within the bound.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "agent/task/superseder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  const TaskId task = *TaskId::parse("fN1SbArXTPSVFNUvaOlinQ");
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto tasks = agent::parse_superseded(text, task)) {
    bool good = tasks.value().size() <= agent::superseded_tasks_max &&
                std::ranges::find(tasks.value(), task) != tasks.value().end();
    if (!good) __builtin_trap();
  }
  if (auto request = agent::superseder_request(text, task)) {
    if (!request.value().target.starts_with('/')) __builtin_trap();
  }
  return 0;
}
