// Files of containers that have ended, opened where the engine keeps them: overlay2's directories on this machine. An
// archive of a large file costs the engine and its reader several times what reading the file does.
//
// The container's owner decides what lies there, so nothing is followed: no link, nothing past the layer's directory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/docker/docker_json.h"
#include "net/file_body.h"

namespace gantry::engine::docker {

/// Of an absolute path without "." and "..": the part below the root; empty if it is none, or leads into a mount.
std::string path_in_root(const StoredRoot& root, std::string_view path);

struct StoredFile {
  std::shared_ptr<net::Descriptor> file;
  std::int64_t bytes = 0;
};

/// Blocks. Nothing (file is null) unless the path leads to a plain file with content that the container itself wrote,
/// through plain directories, and this process may read it.
StoredFile open_stored_file(const std::string& upper, const std::string& path);

}  // namespace gantry::engine::docker
