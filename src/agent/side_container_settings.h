// Containers that an agent can start beside a task's: what its file --side-containers says (docs/side-containers.md).
//
//   {"vpn": {"image": "registry.example/vpn:3", "alias": "intranet", "scope": "project:use-the-vpn",
//            "privileged": true, "env": {"REGION": "eu"}, "command": ["vpn", "--foreground"], "socket":
//            "/run/vpn.sock"}}
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gantry::agent {

struct SideContainerSettings {
  std::string image;
  std::string alias;  // the host name under which the task finds it; empty: it stays in a network of its own
  std::string scope;  // that the task needs; "docker-worker:side-container:<name>" if the file names none
  bool privileged = false;
  std::map<std::string, std::string> env;
  std::vector<std::string> command;  // empty: the image's own
  /// Where the task finds the Unix socket that the container makes at side_socket_folder/<the same file name>; empty:
  /// it makes none.
  std::string socket;
  std::int64_t memory_bytes = std::int64_t{2} << 30;
};

/// In the side container: a folder that it shares with this machine.
inline constexpr std::string_view side_socket_folder = "/run/gantry";

using SideContainerList = std::map<std::string, SideContainerSettings, std::less<>>;

inline constexpr std::size_t side_containers_max = 32;
inline constexpr std::size_t side_containers_bytes_max = 256 * 1024;

Result<SideContainerList> parse_side_containers(std::string_view text);

/// Throws Error: not_found, too_large, invalid_input with the file's name; not_authorized if others than its owner may
/// read it.
SideContainerList read_side_containers(const std::string& path);

/// What features.dind starts: an image with a dockerd in it, privileged, its socket at /var/run/docker.sock.
SideContainerSettings docker_in_docker(std::string image);

}  // namespace gantry::agent
