// An image's name as people write it, split the way the engine's pull wants it.
#pragma once

#include <string>
#include <string_view>

namespace gantry::engine::docker {

struct ImageReference {
  std::string name;  // "registry.example:5000/team/app", "busybox"
  std::string tag;   // a tag or a digest ("sha256:..."); "latest" if neither was written, never empty: an empty tag
                     // would make Docker pull every tag there is
};

/// Throws Error(invalid_input) for what cannot be a reference: empty, over 1 KB, other characters than letters, digits
/// and `._-:/@`, or an empty or dotted path part. The engine and the registry judge the rest.
ImageReference parse_image_reference(std::string_view text);

}  // namespace gantry::engine::docker
