// An image's name taken apart, so that names which mean the same image can be compared, and looked up by registry.
#pragma once

#include <string>
#include <string_view>

namespace gantry::agent {

/// The registry of names that name none, whichever of its names is written.
inline constexpr std::string_view default_registry = "docker.io";

struct ImageName {
  std::string repository;  // as it was written, without tag and digest: "busybox", "registry.example:5000/team/app"
  std::string host;        // "docker.io" if none was written
  std::string path;        // "library/busybox", "team/app"
  std::string tag;         // "latest" if none was written; a digest ("sha256:...") beats the tag beside it
  bool by_digest = false;

  /// Equal for names that mean the same: "docker.io/library/busybox:latest".
  std::string normal() const;
};

/// Throws Error(invalid_input) for what cannot be a name; the engine and the registry judge the rest.
ImageName parse_image_name(std::string_view text);
/// Whether two names mean the same image; false if one is no name.
bool same_image(std::string_view one, std::string_view other);
/// "index.docker.io" and its like as "docker.io"; other hosts as they are.
std::string normal_registry(std::string_view host);

/// The name under which an artifact's image is loaded: of no other artifact, whatever the archive says.
std::string task_image_reference(std::string_view task, std::string_view path);
/// Whether a name is one of those: only task-image and indexed-image may lead to it, for they check who may.
bool is_task_image_reference(const ImageName& name);

}  // namespace gantry::agent
