// A task's definition as a client sends it: checked, completed with its defaults, and brought into one canonical
// spelling (taskcluster.md 2.4). The canonical bytes are what is stored, compared and handed to workers; they are never
// kept as a DOM.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/json.h"
#include "wire/queue_types.h"

namespace gantry::wire {

/// Of the canonical definition without its dependencies; with them it is at most definition_bytes_max +
/// dependency_bytes * dependencies_max.
inline constexpr std::size_t definition_bytes_max = 256 * 1024;
inline constexpr std::size_t dependencies_max = 10'000;
inline constexpr std::size_t dependency_bytes = 25;  // a slugid, its quotes and a comma
inline constexpr std::size_t scopes_max = 1000;
inline constexpr std::size_t routes_max = 64;
inline constexpr std::size_t tags_max = 1000;
inline constexpr int retries_max = 49;
inline constexpr int retries_default = 5;
inline constexpr Duration deadline_max = hours(5 * 24) + minutes(15);  // after `created`
inline constexpr Duration expires_default = hours(365 * 24);           // after `deadline`

/// First 16 bytes of the SHA-256 of the canonical definition.
using DefinitionDigest = std::array<std::uint8_t, 16>;

struct TaskDefinition {
  std::string task_queue;  // "<provisionerId>/<workerType>"
  std::string scheduler = "-";
  std::string project = "none";
  TaskGroupId group;
  std::vector<TaskId> dependencies;  // each once; may hold the task itself
  bool any_outcome = false;          // requires all-resolved: a failed dependency is as good as a completed one
  std::vector<std::string> routes;
  Priority priority = Priority::lowest;
  int retries = retries_default;
  Time created;
  Time deadline;
  Time expires;
  std::vector<std::string> scopes;
  std::string tags;               // canonical JSON object; empty: {}
  std::int64_t memory_bytes = 0;  // what payload.resources reserves; 0 if the payload is not ours
  double cpus = 0;

  std::string canonical;
  DefinitionDigest digest{};
};

/// Whether a queue's payloads are checked here: those of queues that native agents serve are.
enum class PayloadRule { any_object, native };
using PayloadRuleOf = std::function<PayloadRule(std::string_view task_queue)>;

/// Checks everything that does not depend on the time or on what is stored. `id` is the default of taskGroupId.
Result<TaskDefinition> parse_task_definition(TaskId id, std::string_view body, const PayloadRuleOf& rule_of);

/// "<provisionerId>/<workerType>", both 1 to 38 of [a-zA-Z0-9-_].
bool is_task_queue_id(std::string_view text);
/// 1 to 38 of [a-zA-Z0-9-_]: worker groups, worker ids, scheduler ids.
bool is_identifier(std::string_view text);

}  // namespace gantry::wire
