// Files of objects as a broken disk may leave them: no crash, a trailer that fits its file, and what was written is
// read back, whatever the content looks like.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <sys/mman.h>

#include "object/limits.h"
#include "object/object_file.h"

namespace gantry::object {
namespace {

/// Two texts, each byte of which may take six in JSON, within trailer_json_bytes_max.
constexpr std::size_t round_trip_bytes_max = trailer_json_bytes_max / 16;

std::optional<Trailer> read(std::string_view bytes) {
  int descriptor = ::memfd_create("object", MFD_CLOEXEC);
  if (descriptor < 0) std::abort();
  File file(descriptor, "object");
  file.append(bytes);
  auto trailer = read_trailer(file);
  if (trailer) GANTRY_ASSERT(trailer->info.bytes >= 0 && static_cast<std::size_t>(trailer->info.bytes) < bytes.size());
  return trailer;
}

/// `bytes` as the content, and as every text of the trailer.
void try_round_trip(std::string_view bytes) {
  Trailer trailer{std::string(bytes), {static_cast<std::int64_t>(bytes.size()), std::string(bytes), "gzip"}};
  std::string whole = std::string(bytes) + trailer_text(trailer);
  auto found = read(whole);
  GANTRY_ASSERT(found && found->name == trailer.name && found->info.bytes == trailer.info.bytes);
  GANTRY_ASSERT(found->info.content_type == trailer.info.content_type && found->info.content_encoding == "gzip");
  GANTRY_ASSERT(!read(whole.substr(0, whole.size() - 1)));
  GANTRY_ASSERT(!read("x" + whole));
}

}  // namespace
}  // namespace gantry::object

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  gantry::object::read(bytes);
  if (size < gantry::object::round_trip_bytes_max) gantry::object::try_round_trip(bytes);
  return 0;
}
