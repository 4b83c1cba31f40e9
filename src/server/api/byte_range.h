// The Range header of a download (RFC 9110 14.2).
#pragma once

#include <cstdint>
#include <string_view>

namespace gantry::server {

struct ByteRange {
  std::int64_t from = 0;
  std::int64_t bytes = -1;  // of a part; -1: the whole, and `from` is 0
  bool partial = false;     // answer 206
  bool satisfiable = true;  // false: answer 416
};

/// One range of bytes of something of `size` bytes. What is no range of bytes, or is several, is answered whole, as the
/// RFC wants it or allows.
ByteRange read_byte_range(std::string_view header, std::int64_t size);

}  // namespace gantry::server
