// The file --side-containers: no text may do harm, and what is accepted is within its bounds.
#include <cstddef>
#include <cstdint>

#include "agent/side_container_settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto list = gantry::agent::parse_side_containers({reinterpret_cast<const char*>(data), size});
  if (!list) return 0;
  GANTRY_ASSERT(list.value().size() <= gantry::agent::side_containers_max);
  for (const auto& [name, settings] : list.value()) GANTRY_ASSERT(!name.empty() && !settings.image.empty());
  return 0;
}
