// What a run leaves behind (taskcluster.md 2.6).
#pragma once

#include <string>

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::queue {

struct ArtifactRequest {
  state::ArtifactId id;
  state::StorageType type = state::StorageType::s3;
  std::string content_type;
  std::int64_t content_bytes = -1;  // -1: not told
  Time expires;
  std::string target;   // reference: url; link: name of the artifact it stands for; object: a fresh uploadId
  std::string reason;   // error
  std::string message;  // error
};

/// Records the artifact. The run must be running, or have ended as an exception not long ago. The same request again
/// succeeds; a later `expires` replaces; a reference may become another reference or a link; anything else is a
/// conflict. One of type object is not there for readers before finish_artifact(); asked for again, it keeps its first
/// uploadId (`target` of the answer). The task's artifacts must be in memory. Errors: not_found, invalid_input,
/// conflict, too_large.
Result<const state::Artifact*> create_artifact(state::Transaction& tx, const ArtifactRequest& request);

/// The upload of an object artifact is complete: it can be read now. Again is fine. Errors: not_found, invalid_input
/// (another uploadId, or not an object), conflict (the run takes no artifacts any more).
Result<const state::Artifact*> finish_artifact(state::Transaction& tx, const state::ArtifactId& id,
                                               const std::string& upload_id);

/// Whether lists show it: it is complete and has not expired.
inline bool is_visible(const state::Artifact& artifact, Time now) { return artifact.present && artifact.expires > now; }

/// The artifact as it may be read now. Errors: not_found, expired.
Result<const state::Artifact*> find_artifact(state::Transaction& tx, const state::ArtifactId& id);

}  // namespace gantry::queue
