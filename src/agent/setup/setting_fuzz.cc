// A settings file of anybody's must never crash the program, and must never leave a value that is not allowed.
#include <cstdlib>

#include "agent/setup/setting.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::agent;
  EffectiveSettings effective;
  auto added = effective.add_file("file", {reinterpret_cast<const char*>(data), size});
  if (!added) return 0;
  EffectiveSettings again;
  for (const Setting& setting : settings()) {
    if (effective.is_set(setting.key) && !again.add(setting, effective.at(setting.key).text, "file")) std::abort();
  }
  return 0;
}
