// Objects of the object service (taskcluster.md 2.6): somebody begins an upload under a name, sends the bytes, says
// that it is finished; from then on the object can be read and never changes. The first to begin chooses the uploadId,
// and nobody else may upload that name.
//
// The object must be in memory if it exists. One that has expired must have been erased before a new one of its name
// is begun: erase_expired() says whether it has.
#pragma once

#include <string>

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::objects {

inline constexpr std::size_t name_bytes_max = 1600;
inline constexpr std::size_t project_bytes_max = 500;
inline constexpr std::size_t inline_bytes_max = 8192;
/// An upload that is not finished by then is forgotten.
inline constexpr Duration upload_term = hours(24);

/// What an uploader says of the bytes, in hex; empty: nothing.
struct Hashes {
  std::string sha256;
  std::string sha512;
};

struct UploadRequest {
  std::string name;
  std::string project;
  std::string upload_id;
  Time expires;
  Hashes hashes;
};

/// 1 to name_bytes_max printable ASCII characters.
bool is_object_name(std::string_view name);

/// Begins the upload, or goes on with it. Errors: invalid_input, conflict (another upload of that name, other values
/// than before, or it is finished).
Result<const state::StoredObject*> begin_upload(state::Transaction& tx, const UploadRequest& request);

/// How the bytes will come. What was received before counts no more. The upload must have been begun and not finished.
void expect_bytes(state::Transaction& tx, const std::string& name, const std::string& content_type, std::int64_t bytes);

/// Whether the upload with this id may still receive bytes. Errors: not_found, conflict.
Result<const state::StoredObject*> open_upload(state::Transaction& tx, const std::string& name,
                                               const std::string& upload_id);

/// The bytes are stored. Errors: those of open_upload.
Result<void> note_received(state::Transaction& tx, const std::string& name, const std::string& upload_id,
                           std::int64_t bytes, const Hashes& hashes);

/// Makes it readable. Again is fine. Errors: not_found, invalid_input (another project, or the bytes have other
/// hashes), conflict (another uploadId, or no bytes were received).
Result<void> finish_upload(state::Transaction& tx, const std::string& name, const std::string& project,
                           const std::string& upload_id, const Hashes& hashes);

/// The finished object. Error: not_found, also if it has expired.
Result<const state::StoredObject*> find_object(state::Transaction& tx, const std::string& name);

/// It has expired, or its upload was not finished in time.
bool has_expired(const state::StoredObject& object, Time now);
/// Erases it if it has expired; true if it did. Its bytes must be gone before.
bool erase_expired(state::Transaction& tx, const std::string& name);

}  // namespace gantry::objects
