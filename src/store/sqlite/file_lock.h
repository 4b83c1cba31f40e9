// The file beside the store that says which process uses it. The lock ends with the process, however that ends; the
// file stays, because removing a locked file lets two processes hold "the" lock.
#pragma once

#include <string>

namespace gantry::store::sqlite {

class FileLock {
 public:
  /// Locks `path`, creating it. Throws Error: conflict if another process (or another FileLock of this one) holds it.
  FileLock(const std::string& path, const std::string& guarded);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace gantry::store::sqlite
