#include "core/objects/upload.h"

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::objects {
namespace {

using state::StoredObject;
using state::Transaction;

Error missing(const std::string& name) {
  return Error(ErrorCode::not_found, fmt::format("object \"{}\" not found", shorten(name, 200)));
}

Error conflict(const std::string& name, std::string_view why) {
  return Error(ErrorCode::conflict, fmt::format("object \"{}\" {}", shorten(name, 200), why));
}

bool contradicts(const std::string& said, const std::string& before) {
  return !said.empty() && !before.empty() && said != before;
}

bool claims_something_else(const StoredObject& object, const Hashes& hashes) {
  return contradicts(hashes.sha256, object.claimed_sha256) || contradicts(hashes.sha512, object.claimed_sha512);
}

/// What was said of the bytes, before or now, is what they are.
bool matches(const StoredObject& object, const Hashes& hashes) {
  return !contradicts(object.claimed_sha256, object.sha256) && !contradicts(object.claimed_sha512, object.sha512) &&
         !contradicts(hashes.sha256, object.sha256) && !contradicts(hashes.sha512, object.sha512);
}

void add_claims(Transaction& tx, const StoredObject& object, const Hashes& hashes) {
  bool news = (object.claimed_sha256.empty() && !hashes.sha256.empty()) ||
              (object.claimed_sha512.empty() && !hashes.sha512.empty());
  if (!news) return;
  tx.update<StoredObject>(object.name, [&](StoredObject& changed) {
    if (!hashes.sha256.empty()) changed.claimed_sha256 = hashes.sha256;
    if (!hashes.sha512.empty()) changed.claimed_sha512 = hashes.sha512;
  });
}

Result<void> check_request(const UploadRequest& request, Time now) {
  if (!is_object_name(request.name)) {
    return Error(ErrorCode::invalid_input,
                 fmt::format("an object's name must be 1 to {} printable ASCII characters", name_bytes_max));
  }
  if (request.expires <= now) {
    return Error(ErrorCode::invalid_input, fmt::format("expires: {} has passed", format_time(request.expires)));
  }
  return success();
}

}  // namespace

bool is_object_name(std::string_view name) {
  return !name.empty() && name.size() <= name_bytes_max && is_printable_ascii(name);
}

Result<const StoredObject*> begin_upload(Transaction& tx, const UploadRequest& request) {
  TRY(check_request(request, tx.now()));
  const StoredObject* found = tx.find<StoredObject>(request.name);
  if (!found) {
    StoredObject object;
    object.name = request.name;
    object.project = request.project;
    object.upload_id = request.upload_id;
    object.started = tx.now();
    object.expires = request.expires;
    object.claimed_sha256 = request.hashes.sha256;
    object.claimed_sha512 = request.hashes.sha512;
    tx.insert(std::move(object));
    return tx.find<StoredObject>(request.name);
  }
  bool same = found->upload_id == request.upload_id && found->project == request.project &&
              found->expires == request.expires && !found->finished;
  if (!same) return conflict(request.name, "exists already");
  if (claims_something_else(*found, request.hashes)) return conflict(request.name, "has another hash already");
  add_claims(tx, *found, request.hashes);
  return tx.find<StoredObject>(request.name);
}

void expect_bytes(Transaction& tx, const std::string& name, const std::string& content_type, std::int64_t bytes) {
  tx.update<StoredObject>(name, [&](StoredObject& object) {
    GANTRY_ASSERT(!object.finished);
    object.content_type = content_type;
    object.bytes = bytes;
    object.received = false;
  });
}

Result<const StoredObject*> open_upload(Transaction& tx, const std::string& name, const std::string& upload_id) {
  const StoredObject* found = tx.find<StoredObject>(name);
  if (!found || has_expired(*found, tx.now())) return missing(name);
  if (found->finished) return conflict(name, "is finished: it takes no more bytes");
  if (found->upload_id != upload_id) return conflict(name, "has another uploadId");
  return found;
}

Result<void> note_received(Transaction& tx, const std::string& name, const std::string& upload_id, std::int64_t bytes,
                           const Hashes& hashes) {
  TRY(open_upload(tx, name, upload_id));
  tx.update<StoredObject>(name, [&](StoredObject& object) {
    object.bytes = bytes;
    object.sha256 = hashes.sha256;
    object.sha512 = hashes.sha512;
    object.received = true;
  });
  return success();
}

Result<void> finish_upload(Transaction& tx, const std::string& name, const std::string& project,
                           const std::string& upload_id, const Hashes& hashes) {
  const StoredObject* found = tx.find<StoredObject>(name);
  if (!found || has_expired(*found, tx.now())) return missing(name);
  if (found->project != project) {
    return Error(ErrorCode::invalid_input,
                 fmt::format("object \"{}\" does not have projectId {}", shorten(name, 200), shorten(project, 80)));
  }
  if (found->finished) {
    if (!matches(*found, hashes)) return conflict(name, "is finished, with other hashes");
    return success();
  }
  if (found->upload_id != upload_id) return conflict(name, "has another uploadId");
  if (claims_something_else(*found, hashes)) return conflict(name, "has another hash already");
  if (!found->received) return conflict(name, "cannot be finished: its bytes have not been received");
  if (!matches(*found, hashes)) {
    return Error(ErrorCode::invalid_input,
                 fmt::format("the {} bytes received for object \"{}\" have other hashes than its uploader says",
                             found->bytes, shorten(name, 200)),
                 "upload them again");
  }
  add_claims(tx, *found, hashes);
  tx.update<StoredObject>(name, [&](StoredObject& object) { object.finished = true; });
  return success();
}

Result<const StoredObject*> find_object(Transaction& tx, const std::string& name) {
  const StoredObject* found = tx.find<StoredObject>(name);
  if (!found || !found->finished || has_expired(*found, tx.now())) return missing(name);
  return found;
}

bool has_expired(const StoredObject& object, Time now) {
  return object.expires <= now || (!object.finished && object.started + upload_term <= now);
}

bool erase_expired(Transaction& tx, const std::string& name) {
  const StoredObject* found = tx.find<StoredObject>(name);
  if (!found || !has_expired(*found, tx.now())) return false;
  tx.erase<StoredObject>(name);
  return true;
}

}  // namespace gantry::objects
