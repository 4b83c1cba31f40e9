#include "base/files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

namespace gantry {
namespace {

constexpr std::size_t read_step_bytes = 64 * 1024;

Error disk_error(std::string_view what, const std::string& path) {
  return Error(ErrorCode::unavailable, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)),
               "check the directory and its permissions, or choose another with --data-dir");
}

/// Closes a file descriptor at the end of the scope.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

void write_durably(const std::string& path, std::string_view text) {
  ::unlink(path.c_str());
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.number() < 0) throw disk_error("create", path);
  while (!text.empty()) {
    ssize_t wrote = ::write(file.number(), text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw disk_error("write", path);
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (::fsync(file.number()) != 0) throw disk_error("write", path);
}

}  // namespace

std::string read_text_file(const std::string& path, std::size_t bytes_max) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) {
    if (errno == ENOENT) throw Error(ErrorCode::not_found, fmt::format("there is no file {}", path));
    throw disk_error("read", path);
  }
  std::string text;
  for (;;) {
    std::size_t size = text.size();
    text.resize(size + read_step_bytes);
    ssize_t got = ::read(file.number(), text.data() + size, read_step_bytes);
    if (got < 0 && errno != EINTR) throw disk_error("read", path);
    text.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return text;
    if (text.size() > bytes_max) {
      throw Error(ErrorCode::too_large, fmt::format("{} has more than {} bytes", path, bytes_max));
    }
  }
}

void write_private_file(const std::string& path, const std::string& text) {
  std::string fresh = path + ".new";
  write_durably(fresh, text);
  if (::rename(fresh.c_str(), path.c_str()) != 0) throw disk_error("write", path);
  std::string parent = std::filesystem::path(path).parent_path().string();
  Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.number() < 0 || ::fsync(directory.number()) != 0) throw disk_error("write", path);
}

FileLock::FileLock(const std::string& path) : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  if (descriptor_ < 0) throw disk_error("make", path);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  bool held = errno == EWOULDBLOCK;
  Error error = disk_error("lock", path);
  ::close(descriptor_);
  if (held) throw Error(ErrorCode::conflict, fmt::format("another process has locked {}", path));
  throw error;
}

FileLock::~FileLock() { ::close(descriptor_); }

}  // namespace gantry
