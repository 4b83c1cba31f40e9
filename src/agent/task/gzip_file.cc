#include "agent/task/gzip_file.h"

#include <zlib.h>

#include "base/error.h"

namespace gantry::agent {
namespace {

constexpr int window_bits_gzip = 15 + 16;  // the largest window; with a gzip header instead of zlib's
constexpr int memory_level = 8;
constexpr std::size_t out_bytes = 64 * 1024;

}  // namespace

struct GzipFile::Stream {
  z_stream z{};
};

GzipFile::GzipFile(const std::string& path)
    : file_(path, std::ios::binary | std::ios::trunc), stream_(std::make_unique<Stream>()) {
  if (!file_) throw Error(ErrorCode::unavailable, "cannot write " + path);
  int made =
      deflateInit2(&stream_->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits_gzip, memory_level, Z_DEFAULT_STRATEGY);
  if (made != Z_OK) throw Error(ErrorCode::unavailable, "no memory to compress in");
}

GzipFile::~GzipFile() { deflateEnd(&stream_->z); }

void GzipFile::deflate_all(std::string_view bytes, int flush) {
  z_stream& z = stream_->z;
  std::string out(out_bytes, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  do {
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    deflate(&z, flush);
    std::size_t made = out.size() - z.avail_out;
    file_.write(out.data(), static_cast<std::streamsize>(made));
    bytes_ += static_cast<std::int64_t>(made);
  } while (z.avail_out == 0);
  if (!file_) throw Error(ErrorCode::unavailable, "cannot write a compressed file: is the disk full?");
}

void GzipFile::write(std::string_view bytes) { deflate_all(bytes, Z_NO_FLUSH); }

std::int64_t GzipFile::finish() {
  deflate_all({}, Z_FINISH);
  file_.close();
  if (!file_) throw Error(ErrorCode::unavailable, "cannot write a compressed file: is the disk full?");
  return bytes_;
}

}  // namespace gantry::agent
