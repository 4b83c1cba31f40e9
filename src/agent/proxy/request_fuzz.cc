// Targets and URLs from a task: no crash, and whatever is signed is a service of the server.
#include "agent/proxy/request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::agent;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& target :
       {proxied_target(text, "tc.example:7070"), signable_target(text, "http://tc.example:7070")}) {
    if (!target) continue;
    const std::string& path = target.value();
    bool good = path.starts_with("/api/") && path.substr(0, path.find('?')).find("/../") == std::string::npos &&
                path.find('\r') == std::string::npos && path.find('\n') == std::string::npos;
    if (!good) __builtin_trap();
  }
  return 0;
}
