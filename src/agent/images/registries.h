// Which registries an agent has credentials for, and where else it looks for their images: the file that
// `gantry agent --registries` names (docs/images.md).
//
//   {"registry.example": {"username": "ci", "password": "..."},
//    "registry.example/team": {"username": "team", "password": "..."},
//    "mirrors": {"docker.io": ["http://mirror.example:5000"]}}
//
// No function here puts a credential into an error.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/images/image_name.h"
#include "base/error.h"
#include "engine/engine.h"

namespace gantry::agent {

class Registries {
 public:
  /// Of the longest entry that the image's host and path begin with, by whole parts; nothing if none does.
  std::optional<engine::RegistryLogin> login_for(const ImageName& image) const;
  /// The same image by the names that the mirrors of its registry have for it, in the file's order.
  std::vector<std::string> on_mirrors(const ImageName& image) const;

 private:
  friend Result<Registries> parse_registries(std::string_view text);
  struct Login {
    std::string username;
    std::string password;
  };
  std::map<std::string, Login, std::less<>> logins_;                      // by "host" or "host/path"
  std::map<std::string, std::vector<std::string>, std::less<>> mirrors_;  // "host[:port][/path]", by host
};

Result<Registries> parse_registries(std::string_view text);

/// Throws Error: not_found, too_large, invalid_input with the file's name; not_authorized if others than its owner may
/// read the file.
Registries read_registries(const std::string& path);

}  // namespace gantry::agent
