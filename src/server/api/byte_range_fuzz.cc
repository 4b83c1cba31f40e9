// Range headers from arbitrary text: what is answered lies within the object, and a plain range is what it says.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "base/error.h"
#include "server/api/byte_range.h"

namespace gantry::server {
namespace {

void try_header(std::string_view header, std::int64_t size) {
  ByteRange range = read_byte_range(header, size);
  if (!range.partial || !range.satisfiable) {
    GANTRY_ASSERT(range.from == 0 && range.bytes == -1 && range.partial != range.satisfiable);
    return;
  }
  GANTRY_ASSERT(range.from >= 0 && range.bytes > 0 && range.bytes <= size && range.from <= size - range.bytes);
  std::string plain = "bytes=" + std::to_string(range.from) + "-" + std::to_string(range.from + range.bytes - 1);
  ByteRange again = read_byte_range(plain, size);
  GANTRY_ASSERT(again.partial && again.satisfiable && again.from == range.from && again.bytes == range.bytes);
}

}  // namespace
}  // namespace gantry::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  for (std::int64_t object_bytes :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{1000}, std::numeric_limits<std::int64_t>::max()}) {
    gantry::server::try_header(text, object_bytes);
    gantry::server::try_header("bytes=" + text, object_bytes);
  }
  return 0;
}
