// A file of gzip, written piece by piece.
//
// Blocking; one thread at a time.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

namespace gantry::agent {

class GzipFile {
 public:
  /// Makes the file, or empties it. Throws Error(unavailable).
  explicit GzipFile(const std::string& path);
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;
  ~GzipFile();

  /// Throws Error(unavailable), for a full disk among others.
  void write(std::string_view bytes);
  /// The last call: the file's size. Throws Error(unavailable).
  std::int64_t finish();

 private:
  struct Stream;
  void deflate_all(std::string_view bytes, int flush);

  std::ofstream file_;
  std::unique_ptr<Stream> stream_;
  std::int64_t bytes_ = 0;
};

}  // namespace gantry::agent
