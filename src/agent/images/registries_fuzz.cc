// Any text as a registries file: no crash, and whatever is taken answers for any image.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "agent/images/registries.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::agent;
  std::string text(reinterpret_cast<const char*>(data), size);
  std::string image = text.substr(0, text.find('\n'));
  auto registries = parse_registries(text.substr(std::min(image.size() + 1, text.size())));
  if (!registries) registries = parse_registries(text);
  try {
    ImageName name = parse_image_name(image);
    GANTRY_ASSERT(!name.path.empty() && !name.host.empty() && !name.tag.empty());
    GANTRY_ASSERT(parse_image_name(name.normal()).normal() == name.normal());
    if (!registries) return 0;
    for (const std::string& mirror : registries.value().on_mirrors(name)) GANTRY_ASSERT(!mirror.empty());
    auto login = registries.value().login_for(name);
    GANTRY_ASSERT(!login || !login->password.empty());
  } catch (const gantry::Error&) {
    return 0;
  }
  return 0;
}
