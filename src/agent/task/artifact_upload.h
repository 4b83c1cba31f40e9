// Putting what a run leaves behind where the server keeps it (taskcluster.md 1.5).
#pragma once

#include <optional>
#include <string>

#include "agent/task/feature.h"

namespace gantry::agent {

/// The artifact's address in the queue.
std::string artifact_path(const RunContext& run, const std::string& name);
/// Records the artifact; the URL to put its `bytes` bytes to.
Async<std::string> announce_artifact(RunContext& run, std::string name, std::string type, Time expires,
                                     std::int64_t bytes);
/// Puts an artifact's bytes to the URL that it was given, and remembers their sum if the run keeps one.
Async<> put_artifact(RunContext& run, std::string url, std::string name, std::string type,
                     std::shared_ptr<net::BodyReader> body, std::int64_t bytes);
/// Uploads a file of this machine as an artifact that expires with the task, or at `expires`. Waits for a server that
/// is not there, as long as for one that takes no report. Throws Error if it refuses.
Async<> upload_file(RunContext& run, std::string name, std::string type, std::string path, std::int64_t bytes,
                    std::optional<Time> expires = {});

/// A file that is gone when this is. Its name should be one of run_file_name(), in the folder of spools, which is
/// cleared of what a crash has left.
struct ScratchFile {
  explicit ScratchFile(std::string at) : path(std::move(at)) {}
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();
  std::string path;
};

}  // namespace gantry::agent
