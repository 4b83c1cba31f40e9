// What a task asks of a native agent: task.payload (taskcluster.md 1.3, with `resources` as our extension). One parser
// for the server (which refuses bad payloads at creation) and the agent.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"

namespace gantry::wire {

struct ArtifactSpec {
  enum class Type { file, directory };
  std::string name;  // as listed in the queue
  Type type = Type::file;
  std::string path;             // absolute, inside the container
  std::optional<Time> expires;  // none: when the task expires
};

/// What the container may use. Documented defaults apply where a task says nothing.
struct ResourceLimits {
  static constexpr std::int64_t memory_bytes_default = std::int64_t{2} << 30;
  static constexpr std::int64_t memory_bytes_min = std::int64_t{6} << 20;  // the least an engine accepts
  static constexpr std::int64_t memory_bytes_max = std::int64_t{1} << 50;
  static constexpr std::int64_t pids_default = 4096;
  std::int64_t memory_bytes = memory_bytes_default;
  double cpus = 0;  // 0: no limit, fair share
  std::int64_t pids = pids_default;
};

struct Payload {
  std::string image;
  std::vector<std::string> command;  // empty: the image's own
  std::vector<std::pair<std::string, std::string>> env;
  Duration max_run_time{};
  std::vector<ArtifactSpec> artifacts;
  std::string log = "public/logs/live.log";
  std::map<std::string, bool> features;
  ResourceLimits resources;

  /// The feature's switch, or its default.
  bool feature(std::string_view name) const;
};

inline constexpr std::int64_t max_run_time_s_max = 7 * 24 * 3600;
inline constexpr std::size_t artifacts_max = 1000;
inline constexpr std::size_t env_max = 1000;
inline constexpr std::size_t command_words_max = 10'000;

struct FeatureInfo {
  std::string_view name;  // under payload.features
  std::string_view title;
  std::string_view description;
  bool on_by_default;
};
/// Every feature that a payload may switch; drives parser, help and docs.
std::span<const FeatureInfo> features();

/// Errors name the place ("payload.artifacts.x.path: ...") and the nearest valid key.
Result<Payload> parse_payload(const json::value& payload);

}  // namespace gantry::wire
