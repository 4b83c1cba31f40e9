#include "agent/key_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"

namespace gantry::agent {
namespace {

constexpr std::size_t file_bytes_max = 64 * 1024;

}  // namespace

std::string read_key_file(const std::string& path) {
  struct ::stat status{};
  bool there = ::stat(path.c_str(), &status) == 0;  // if not, reading it says why
  if (there && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    throw Error(ErrorCode::not_authorized,
                fmt::format("{} holds a private key, and others than its owner may read it", path),
                fmt::format("chmod 600 {}", path));
  }
  return read_text_file(path, file_bytes_max);
}

}  // namespace gantry::agent
