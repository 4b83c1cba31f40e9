#include "wire/queue_types.h"

#include <algorithm>
#include <iterator>

namespace gantry::wire {
namespace {

constexpr std::string_view priorities[] = {"lowest", "very-low", "low", "medium", "high", "very-high", "highest"};
constexpr std::string_view task_states[] = {"unscheduled", "pending", "running", "completed", "failed", "exception"};
constexpr std::string_view reasons_created[] = {"scheduled", "retry", "task-retry", "rerun", "exception"};
constexpr std::string_view reasons_resolved[] = {"",
                                                 "completed",
                                                 "failed",
                                                 "deadline-exceeded",
                                                 "canceled",
                                                 "superseded",
                                                 "claim-expired",
                                                 "worker-shutdown",
                                                 "malformed-payload",
                                                 "resource-unavailable",
                                                 "internal-error",
                                                 "intermittent-task"};
constexpr std::string_view storage_types[] = {"s3", "object", "reference", "link", "error"};

template <class Enum, std::size_t size>
std::optional<Enum> parse(const std::string_view (&names)[size], std::string_view text) {
  auto found = std::ranges::find(names, text);
  if (found == std::end(names) || text.empty()) return std::nullopt;
  return static_cast<Enum>(found - std::begin(names));
}

}  // namespace

std::string_view name_of(Priority priority) { return priorities[static_cast<int>(priority)]; }
std::string_view name_of(TaskState state) { return task_states[static_cast<int>(state)]; }
std::string_view name_of(ReasonCreated reason) { return reasons_created[static_cast<int>(reason)]; }
std::string_view name_of(ReasonResolved reason) { return reasons_resolved[static_cast<int>(reason)]; }
std::string_view name_of(StorageType type) { return storage_types[static_cast<int>(type)]; }

std::optional<Priority> parse_priority(std::string_view text) {
  if (text == "normal") return Priority::lowest;
  return parse<Priority>(priorities, text);
}
std::optional<TaskState> parse_task_state(std::string_view text) { return parse<TaskState>(task_states, text); }
std::optional<ReasonCreated> parse_reason_created(std::string_view text) {
  return parse<ReasonCreated>(reasons_created, text);
}
std::optional<ReasonResolved> parse_reason_resolved(std::string_view text) {
  return parse<ReasonResolved>(reasons_resolved, text);
}
std::optional<StorageType> parse_storage_type(std::string_view text) { return parse<StorageType>(storage_types, text); }

}  // namespace gantry::wire
