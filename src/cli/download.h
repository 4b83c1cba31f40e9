// Artifacts: what a run has, and how they come to the local disk.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/client.h"

namespace gantry::cli {

struct ArtifactEntry {
  std::string name;
  std::string type;  // "s3", "reference", "link", "error"
  std::string content_type;
  std::int64_t bytes = -1;  // -1: not known
  std::string expires;
};

/// All artifacts of a run (the newest if `run` < 0), in order of name.
Async<std::vector<ArtifactEntry>> list_artifacts(std::shared_ptr<Client> client, std::string task, int run);

/// Where an artifact called `name` goes below `directory`. Throws Error(invalid_input) for a name that would lead out
/// of it.
std::string local_path(const std::string& directory, std::string_view name);

/// Fetches one into the file `path`, making its directories; the file is there whole or not at all. "-" writes to
/// stdout. Draws a progress bar if stderr is a terminal. Returns the bytes written.
Async<std::int64_t> download_artifact(std::shared_ptr<Client> client, std::string task, int run, std::string name,
                                      std::string path);

}  // namespace gantry::cli
