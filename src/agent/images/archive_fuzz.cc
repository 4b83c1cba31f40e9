// Any names and any manifest: no crash, and an image is only what the archive has.
#include <cstddef>
#include <cstdint>
#include <string>

#include "agent/images/archive.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::agent;
  std::string text(reinterpret_cast<const char*>(data), size);
  // The first lines are names, each of a file or (with a '>') of a link; the rest is the manifest.
  ArchiveIndex index;
  constexpr int names_max = 8;
  std::int64_t offset = 0;
  for (int i = 0; i < names_max; ++i) {
    std::size_t end = text.find('\n');
    if (end == std::string::npos) break;
    std::string line = text.substr(0, end);
    text.erase(0, end + 1);
    std::size_t arrow = line.find('>');
    auto name = archive_name(line.substr(0, arrow));
    if (!name) continue;
    GANTRY_ASSERT(!name->empty() && !name->starts_with('/') && *name != ".." && !name->starts_with("../"));
    GANTRY_ASSERT(archive_name(*name) == name);
    if (arrow == std::string::npos) {
      index.files[*name] = {offset++, 1};
    } else if (auto target = archive_name(line.substr(arrow + 1))) {
      index.links[*name] = *target;
    }
  }
  auto image = read_manifest(index, text);
  if (!image) return 0;
  auto is_there = [&](const ArchivedFile& file) { return file.bytes == 1 && file.offset < offset; };
  GANTRY_ASSERT(is_there(image.value().config));
  for (const ArchivedFile& layer : image.value().layers) GANTRY_ASSERT(is_there(layer));
  return 0;
}
