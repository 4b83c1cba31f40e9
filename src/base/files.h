// Small files that a program keeps for itself. Everything here blocks on the local disk.
#pragma once

#include <string>

#include "base/error.h"

namespace gantry {

/// Replaces a file whole, with mode 0600; durable when it returns. Throws Error(unavailable).
void write_private_file(const std::string& path, const std::string& text);
/// Throws Error(not_found, unavailable, too_large).
std::string read_text_file(const std::string& path, std::size_t bytes_max);

/// Keeps a directory for one process: holds a lock on the file `path` (made if it is not there) for as long as it
/// lives.
class FileLock {
 public:
  /// Throws Error(conflict) if another process holds it, unavailable if it cannot be made.
  explicit FileLock(const std::string& path);
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  int descriptor_;
};

}  // namespace gantry
