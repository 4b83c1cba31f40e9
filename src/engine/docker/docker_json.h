// The Docker Engine API's messages to and from ours; pure. Facts: the API's reference, versions 1.24 to 1.44, and a
// Docker 20.10. What is parsed here comes from outside: a missing or mistyped field throws Error(unsupported).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace gantry::engine::docker {

/// The body of POST /containers/create.
std::string container_create_json(const ContainerSpec& spec);
std::string exec_create_json(const ExecSpec& spec);
std::string exec_start_json(const ExecSpec& spec);
std::string volume_create_json(std::string_view name, const std::map<std::string, std::string>& labels);
/// The value of the header X-Registry-Auth. A secret.
std::string registry_auth(const RegistryLogin& login);
/// The body of POST /networks/create for a bridge whose containers cannot reach each other.
std::string network_create_json(std::string_view name);
/// The value of `filters`, for one filter of one value: {"label":["a=b"]}.
std::string filters_json(std::string_view filter, std::string_view value);

/// "Id" of an answer.
std::string parse_id(std::string_view body);
ContainerState parse_container_state(std::string_view body);

/// What an inspected container says of where its files are.
struct StoredRoot {
  bool running = false;
  std::string upper;                // the directory of what the container wrote; empty: not with overlay2
  std::vector<std::string> mounts;  // paths in the container where something else is mounted
};
StoredRoot parse_stored_root(std::string_view body);

std::vector<ContainerSummary> parse_container_list(std::string_view body);

struct WaitResult {
  int exit_code = 0;
  std::string error;  // the engine's, if it lost the container
};
WaitResult parse_wait(std::string_view body);

ImageInfo parse_image(std::string_view body);
std::vector<ImageInfo> parse_image_list(std::string_view body);
std::vector<VolumeInfo> parse_volume_list(std::string_view body);

/// A load's answer: lines of JSON, with status 200 even for a failure.
struct LoadResult {
  std::vector<std::string> images;  // references, or ids of those without
  std::string error;                // the engine's; empty: it went well
};
LoadResult parse_load(std::string_view body);

struct ExecState {
  bool running = false;
  std::optional<int> exit_code;
};
ExecState parse_exec_state(std::string_view body);

/// Of one network.
NetworkInfo parse_network_info(std::string_view body);

struct Network {
  std::string id;
  std::string name;
  bool isolated = false;  // a bridge without traffic between its containers
};
std::vector<Network> parse_networks(std::string_view body);

struct Version {
  std::string engine;  // "20.10.24"
  int api = 0;         // major * 1000 + minor
  int api_min = 0;     // 0 if it does not say
};
Version parse_version(std::string_view body);
/// Adds cpus, memory, the cgroup version and where and how the engine stores things, from GET /info.
void parse_info(std::string_view body, EngineInfo& info);

/// The version to speak, as major * 1000 + minor; throws Error(unsupported) if there is none.
int negotiate_version(const Version& version);
/// "/v1.41"
std::string version_prefix(int version);

/// The engine's own words from an answer with an error status.
std::string error_text(int status, std::string_view body);
/// An answer with an error status as an Error: "docker: <what>: <the engine's words>".
Error status_error(int status, std::string_view body, std::string_view what);

}  // namespace gantry::engine::docker
