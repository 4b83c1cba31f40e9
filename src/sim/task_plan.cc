#include "sim/task_plan.h"

#include <fmt/format.h>

#include "base/json.h"
#include "sim/container_plan.h"

namespace gantry::sim {
namespace {

constexpr Duration run_time_min = minutes(1);
constexpr Duration run_time_max = minutes(40);

/// Artifacts that the containers of native runs have, or have not.
std::string random_artifacts(Random& random) {
  if (random.chance(0.6)) return "{}";
  std::string file = fmt::format(R"("public/result.txt":{{"type":"file","path":"{}"}})", output_file);
  std::string directory = fmt::format(R"("public/out":{{"type":"directory","path":"{}"}})", output_directory);
  double roll = random.unit();
  if (roll < 0.5) return "{" + file + "}";
  if (roll < 0.8) return "{" + file + "," + directory + "}";
  if (roll < 0.9) return "{" + directory + "}";
  return "{" + file + R"(,"public/missing.txt":{"type":"file","path":"/nowhere.txt"}})";
}

/// Few names, so that tasks compete for instances. Some exit codes throw them away.
std::string random_caches(Random& random) {
  if (random.chance(0.6)) return "";
  std::string caches = fmt::format(R"("cache-{}":"/cache")", random.below(2));
  if (random.chance(0.3)) caches += R"(,"cache-2":"/more")";
  std::string purge = random.chance(0.3) ? R"("onExitStatus":{"purgeCaches":[3,7,42,137,143]},)" : "";
  return fmt::format(R"("cache":{{{}}},{})", caches, purge);
}

std::string payload(Random& random) {
  auto run_time_s = std::chrono::duration_cast<seconds>(random.spread(run_time_min, run_time_max)).count();
  bool live_log = random.chance(0.85);
  return fmt::format(R"({{"image":"debian:12","command":["true"],"maxRunTime":{},{}"artifacts":{},)"
                     R"("features":{{"localLiveLog":{}}},"resources":{{"memory":"{}m"}}}})",
                     run_time_s, random_caches(random), random_artifacts(random), live_log, random.between(64, 3000));
}

}  // namespace

std::string definition_of(const TaskPlan& plan, Random& random) {
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("taskQueueId", plan.task_queue).field("priority", name_of(plan.priority));
  out.field("retries", plan.retries).field("created", plan.created).field("deadline", plan.deadline);
  if (!plan.group.empty()) out.field("taskGroupId", plan.group.to_string());
  if (!plan.dependencies.empty()) {
    out.key("dependencies").begin_array();
    for (TaskId id : plan.dependencies) out.string(id.to_string());
    out.end_array();
    out.field("requires", plan.any_outcome ? "all-resolved" : "all-completed");
  }
  out.key("scopes").begin_array().string("docker-worker:cache:*").end_array();
  out.key("payload").raw(payload(random)).key("metadata").begin_object();
  out.field("name", fmt::format("task {}", random.below(1'000'000))).field("description", "of the simulation");
  out.field("owner", "sim@example.com").field("source", "https://example.com/sim").end_object().end_object();
  return text;
}

}  // namespace gantry::sim
