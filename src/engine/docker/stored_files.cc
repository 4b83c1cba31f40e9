#include "engine/docker/stored_files.h"

#include <algorithm>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace gantry::engine::docker {
namespace {

int open_directory(const std::string& path) {
  return ::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/// -1 if there is none; also where the kernel (before 5.6) has no openat2.
int open_below(int directory, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;  // a pipe must not be waited for
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  return static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how));
}

/// With overlayfs's "metacopy" the content may still lie in a lower layer.
bool has_content_elsewhere(int file) { return ::fgetxattr(file, "trusted.overlay.metacopy", nullptr, 0) >= 0; }

}  // namespace

std::string path_in_root(const StoredRoot& root, std::string_view path) {
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) return {};
  std::string clean;
  for (std::size_t at = 0; at < path.size();) {
    std::size_t end = std::min(path.find('/', at), path.size());
    std::string_view part = path.substr(at, end - at);
    if (part == "." || part == "..") return {};
    if (!part.empty()) clean += "/" + std::string(part);
    at = end + 1;
  }
  for (const std::string& mount : root.mounts) {
    bool inside = clean.starts_with(mount) && (clean.size() == mount.size() || clean[mount.size()] == '/');
    if (inside) return {};
  }
  return clean.empty() ? clean : clean.substr(1);
}

StoredFile open_stored_file(const std::string& upper, const std::string& path) {
  int root = open_directory(upper);
  if (root < 0) return {};
  net::Descriptor directory(root);
  int opened = open_below(root, path);
  if (opened < 0) return {};
  auto file = std::make_shared<net::Descriptor>(opened);
  struct stat about{};
  if (::fstat(opened, &about) != 0 || !S_ISREG(about.st_mode) || has_content_elsewhere(opened)) return {};
  // The engine leaves empty files where it mounts its own: /etc/hosts, /sbin/docker-init.
  if (about.st_size == 0) return {};
  return {std::move(file), about.st_size};
}

}  // namespace gantry::engine::docker
