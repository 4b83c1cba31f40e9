#include "agent/task/spool.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace gantry::agent {
namespace {

constexpr std::int64_t header_bytes = 5;

Error spool_error(const char* what, const std::string& path) {
  return Error(ErrorCode::unavailable, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)),
               "check the disk that holds the agent's data directory");
}

}  // namespace

Spool::Spool(std::string path) : path_(std::move(path)) {
  file_.number = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_.number < 0) throw spool_error("open", path_);
  // Two that append at their own idea of the end would overwrite each other.
  if (::flock(file_.number, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw spool_error("lock", path_);
    throw Error(ErrorCode::unavailable, fmt::format("{} is still being written", path_),
                "it is free once the run that it belonged to has let go of it");
  }
  recover();
}

Spool::Descriptor::~Descriptor() {
  if (number >= 0) ::close(number);
}

void Spool::count(int stream, std::uint32_t length) {
  file_bytes_ += header_bytes + length;
  sizes_.bytes += length;
  sizes_.of_stream[static_cast<std::size_t>(stream)] += length;
}

bool Spool::read_header(std::int64_t at, int& stream, std::uint32_t& length) const {
  unsigned char header[header_bytes];
  if (::pread(file_.number, header, header_bytes, at) != header_bytes) return false;
  stream = header[0];
  length = static_cast<std::uint32_t>(header[1] | header[2] << 8 | header[3] << 16) |
           static_cast<std::uint32_t>(header[4]) << 24;
  return stream < streams && length <= frame_bytes_max;
}

void Spool::recover() {
  struct stat info{};
  if (::fstat(file_.number, &info) != 0) throw spool_error("read", path_);
  int stream = 0;
  std::uint32_t length = 0;
  while (read_header(file_bytes_, stream, length) && file_bytes_ + header_bytes + length <= info.st_size) {
    count(stream, length);
  }
  if (file_bytes_ != info.st_size && ::ftruncate(file_.number, file_bytes_) != 0) throw spool_error("truncate", path_);
}

void Spool::append(int stream, std::string_view bytes) {
  if (bytes.empty()) return;
  GANTRY_ASSERT(bytes.size() <= frame_bytes_max && stream >= 0 && stream < streams);
  if (failed_) throw *failed_;
  auto length = static_cast<std::uint32_t>(bytes.size());
  unsigned char header[header_bytes] = {
      static_cast<unsigned char>(stream), static_cast<unsigned char>(length), static_cast<unsigned char>(length >> 8),
      static_cast<unsigned char>(length >> 16), static_cast<unsigned char>(length >> 24)};
  iovec parts[2] = {{header, header_bytes}, {const_cast<char*>(bytes.data()), bytes.size()}};
  auto whole = header_bytes + static_cast<std::int64_t>(length);
  ssize_t wrote = ::pwritev(file_.number, parts, 2, file_bytes_);
  if (wrote != whole) {
    if (wrote >= 0) errno = ENOSPC;
    failed_ = spool_error("write", path_);
    if (::ftruncate(file_.number, file_bytes_) != 0) failed_ = failed_->in("and then truncate");
    throw *failed_;
  }
  count(stream, length);
}

std::string Spool::read(std::int64_t offset, std::size_t bytes_max) {
  if (offset < reading_.logical) reading_ = {};
  std::string out;
  Position at = reading_;
  int stream = 0;
  std::uint32_t length = 0;
  while (at.file < file_bytes_ && out.size() < bytes_max) {
    if (!read_header(at.file, stream, length)) throw spool_error("read", path_);
    std::int64_t wanted = offset + static_cast<std::int64_t>(out.size());
    std::int64_t skip = wanted - at.logical;
    if (skip < length) {
      auto take = std::min<std::size_t>(length - static_cast<std::size_t>(skip), bytes_max - out.size());
      std::size_t old = out.size();
      out.resize(old + take);
      ssize_t got = ::pread(file_.number, out.data() + old, take, at.file + header_bytes + skip);
      if (got != static_cast<ssize_t>(take)) throw spool_error("read", path_);
      if (old == 0) reading_ = at;
    }
    at.file += header_bytes + length;
    at.logical += length;
  }
  return out;
}

void Spool::remove() const { ::unlink(path_.c_str()); }

}  // namespace gantry::agent
