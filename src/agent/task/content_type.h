// The content type of an artifact, by its name (taskcluster.md 1.5).
#pragma once

#include <string>
#include <string_view>

namespace gantry::agent {

/// By the extension, whatever its case; application/octet-stream if it is unknown.
std::string content_type_of(std::string_view name);

}  // namespace gantry::agent
