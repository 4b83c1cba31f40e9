// An image's archive as an artifact of a task: who it is of, whether this run may have it, and its bytes.
#pragma once

#include <memory>
#include <string>

#include "agent/server_api.h"

namespace gantry::agent {

/// The task that the index has under this namespace. Throws Error(not_found, "Could not find a task associated with
/// ..."), and what ServerApi throws.
Async<std::string> find_indexed_task(ServerApi& server, Signer signer, std::string index_namespace);

/// Where the newest run's artifact is; asks the server, which judges whether the signer may have it. A name below
/// public/ is asked for without the signer. Throws Error "Could not download artifact ...": not_found,
/// not_authorized, unavailable.
Async<std::string> find_artifact(ServerApi& server, Signer signer, std::string task, std::string path);

struct Download {
  std::shared_ptr<net::BodyReader> body;
  std::int64_t bytes = -1;  // as declared; -1: not known
  std::string content_encoding;
};

/// The bytes at a URL that find_artifact() gave. Redirects lead to the same server or to https, redirects_max at most.
Async<Download> open_artifact(ServerApi& server, std::string url);

}  // namespace gantry::agent
