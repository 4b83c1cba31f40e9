// Files with private keys.
#pragma once

#include <string>

namespace gantry::agent {

/// The file's text. Throws Error: not_found, unavailable, too_large, and not_authorized if others than its owner may
/// read it.
std::string read_key_file(const std::string& path);

}  // namespace gantry::agent
