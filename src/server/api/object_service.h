// The object service: uploads and downloads of whole objects (taskcluster.md 2.6), the storage behind artifacts of type
// object. The bytes lie in the object store under upload_object(), as those of other artifacts do.
//
// io_context thread only.
#pragma once

#include <string>

#include "base/json.h"
#include "core/state/records.h"
#include "server/api/index_service.h"
#include "server/api/router.h"
#include "server/services.h"

namespace gantry::server {

/// Name, for the object service, of what stands behind an artifact of type object.
std::string artifact_upload_name(const state::ArtifactId& id);

/// What createArtifact answers for type object: adds the members name, projectId, uploadId, expires and credentials.
void append_upload_grant(JsonWriter& out, const Services& services, const state::Artifact& artifact,
                         const std::string& project, const std::string& worker);

/// What `artifact` and `latestArtifact` answer for type object: adds the members name and credentials.
void append_download_grant(JsonWriter& out, const Services& services, const state::Artifact& artifact);

/// A URL by which anyone may read a finished object for a while. Throws Error(not_found).
Async<std::string> object_url(Services& services, std::string base, std::string name);

/// Looks at the next objects and removes what has expired, bytes first. True if all have been seen: the next call
/// begins anew.
Async<bool> sweep_objects(Services& services, SweepCursor& cursor);

}  // namespace gantry::server
