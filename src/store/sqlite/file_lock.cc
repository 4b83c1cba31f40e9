#include "store/sqlite/file_lock.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"

namespace gantry::store::sqlite {
namespace {

std::string holder(int descriptor) {
  char text[32];
  auto length = ::pread(descriptor, text, sizeof text, 0);
  std::string pid(text, length > 0 ? static_cast<std::size_t>(length) : 0);
  pid.resize(std::min(pid.size(), pid.find('\n')));
  return pid.empty() ? "unknown" : pid;
}

}  // namespace

FileLock::FileLock(const std::string& path, const std::string& guarded) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor_ < 0) {
    throw Error(ErrorCode::unavailable, fmt::format("{}: cannot open the lock file: {}", path, std::strerror(errno)),
                "the directory must be writable for the user that runs gantry");
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    int cause = errno;
    auto pid = holder(descriptor_);
    ::close(descriptor_);
    if (cause == EWOULDBLOCK) {
      throw Error(ErrorCode::conflict, fmt::format("{}: another gantry uses this file (pid {})", guarded, pid),
                  "stop that process, or give this one a data directory of its own");
    }
    throw Error(ErrorCode::unavailable, fmt::format("{}: cannot lock it: {}", path, std::strerror(cause)),
                "keep the file on a local disk, not on a network drive");
  }
  // The number is only for the message above, so a failure (a full disk) does no harm.
  auto pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(descriptor_, 0) == 0) [[maybe_unused]]
    auto written = ::pwrite(descriptor_, pid.data(), pid.size(), 0);
}

FileLock::~FileLock() { ::close(descriptor_); }

}  // namespace gantry::store::sqlite
