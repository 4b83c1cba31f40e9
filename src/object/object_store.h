// Where artifacts and finished logs lie: named byte strings with a content type. Implementations: object/file_store.h;
// later object/s3.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/async.h"
#include "net/http.h"

namespace gantry::object {

struct ObjectInfo {
  std::int64_t bytes = 0;
  std::string content_type;
  std::string content_encoding;  // "" or "gzip"
};

struct OpenObject {
  ObjectInfo info;
  std::shared_ptr<net::BodyReader> body;
};

/// Names are any text up to 2 KB (they come from artifact names); the implementation makes them safe. All methods throw
/// Error (not_found, unavailable, too_large) and are called on the io_context thread.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  /// Reads `body` to its end and makes the object durable under `name`, replacing an older one whole. If
  /// `bytes_expected`
  /// >= 0 and the body has another length, nothing is kept and Error(invalid_input) is thrown.
  virtual Async<> put(std::string name, ObjectInfo info, std::shared_ptr<net::BodyReader> body,
                      std::int64_t bytes_expected) = 0;
  /// Takes over a finished file of the local disk (same file system: a rename).
  virtual Async<> adopt_file(std::string name, ObjectInfo info, std::string path) = 0;
  /// Opens `bytes` from `offset` (bytes < 0: to the end).
  virtual Async<OpenObject> open(std::string name, std::int64_t offset = 0, std::int64_t bytes = -1) = 0;
  virtual Async<ObjectInfo> info(std::string name) = 0;
  /// Removing what is not there is fine.
  virtual Async<> remove(std::string name) = 0;

  /// The names in a part of the store, of what was there all the time; parts count from 0, nothing past the last one.
  virtual Async<std::optional<std::vector<std::string>>> names(int part) {
    static_cast<void>(part);
    co_return std::nullopt;
  }
};

}  // namespace gantry::object
