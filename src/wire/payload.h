// What a task asks of a native agent: task.payload (taskcluster.md 1.3, with `resources` as our extension). One parser
// for the server (which refuses bad payloads at creation) and the agent; what it takes is in payload_keys.h.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"

namespace gantry::wire {

/// Where a container's image comes from.
struct ImageSource {
  enum class Kind { registry, indexed, task };
  Kind kind = Kind::registry;
  std::string name;             // registry: the reference
  std::string index_namespace;  // indexed
  std::string task;             // task: its id
  std::string path;             // indexed, task: the artifact's name
  /// For people: "debian:12", "public/image.tar of task fN1S...".
  std::string to_string() const;
};

struct ArtifactSpec {
  enum class Type { file, directory, volume };  // a volume's files are taken as a directory's
  std::string name;                             // as listed in the queue
  Type type = Type::file;
  std::string path;             // absolute, inside the container
  std::optional<Time> expires;  // none: when the task expires
  bool optional = false;        // a task without it is as good
};

/// What the container may use. Documented defaults apply where a task says nothing.
struct ResourceLimits {
  static constexpr std::int64_t memory_bytes_default = std::int64_t{2} << 30;
  static constexpr std::int64_t memory_bytes_min = std::int64_t{6} << 20;  // the least an engine accepts
  static constexpr std::int64_t memory_bytes_max = std::int64_t{1} << 50;
  static constexpr double cpus_min = 0.01;
  static constexpr double cpus_max = 4096;
  static constexpr std::int64_t pids_default = 4096;
  static constexpr std::int64_t pids_max = 4'000'000;
  static constexpr std::int64_t shm_bytes_default = std::int64_t{64} << 20;
  static constexpr std::int64_t shm_bytes_min = 4096;  // a page
  std::int64_t memory_bytes = memory_bytes_default;
  double cpus = 0;  // 0: no limit, fair share
  std::int64_t pids = pids_default;
  std::int64_t disk_bytes = 0;  // 0: no limit
  std::int64_t shm_bytes = shm_bytes_default;
};

/// What exit codes mean beside success and failure.
struct OnExitStatus {
  std::vector<int> retry;         // the run is tried again, as long as the task has retries
  std::vector<int> purge_caches;  // the run's caches are thrown away
  bool retries(int exit_code) const;
  bool purges_caches(int exit_code) const;
};

struct Payload {
  ImageSource image;
  std::vector<std::string> command;  // empty: the image's own
  std::vector<std::pair<std::string, std::string>> env;
  Duration max_run_time{};
  std::map<std::string, std::string> caches;  // absolute path in the container, by name
  std::vector<ArtifactSpec> artifacts;
  std::string log = "public/logs/live.log";
  std::map<std::string, bool, std::less<>> features;  // those that it names
  bool privileged = false;
  bool disable_seccomp = false;
  std::vector<std::string> devices;  // "kvm": those that it wants
  OnExitStatus on_exit_status;
  std::vector<std::string> graphs;           // absolute paths in the container
  std::vector<std::string> side_containers;  // names that the agent knows
  std::string superseder_url;
  std::vector<std::string> encrypted_env;  // base64
  ResourceLimits resources;
  /// Keys (payload_keys.h) that an agent needs a feature for, by their paths, in the table's order: what the payload
  /// asks for, with the defaults of what it does not name.
  std::vector<std::string> plug_ins;

  /// Of payload.features: its switch, or its default.
  bool feature(std::string_view name) const;
};

inline constexpr std::int64_t max_run_time_s_max = 7 * 24 * 3600;
inline constexpr std::size_t artifacts_max = 1000;
inline constexpr std::size_t caches_max = 100;
inline constexpr std::size_t cache_name_characters_max = 255;
inline constexpr std::size_t env_max = 1000;
inline constexpr std::size_t command_words_max = 10'000;
inline constexpr std::size_t exit_codes_max = 256;
inline constexpr std::size_t graphs_max = 100;
inline constexpr std::size_t encrypted_env_max = 100;
inline constexpr std::size_t side_containers_max = 16;

/// Errors name the place ("payload.artifacts.x.path: ...") and the nearest valid key. What the published schema
/// (payload_keys.h) refuses is InputFault::schema, what it cannot know is InputFault::meaning.
Result<Payload> parse_payload(const json::value& payload);

}  // namespace gantry::wire
