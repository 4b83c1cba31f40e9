// Payloads from arbitrary JSON: no crash, and whatever is accepted keeps its bounds.
#include "wire/payload.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  using namespace gantry::wire;
  auto document = parse_json({reinterpret_cast<const char*>(data), size});
  if (!document) return 0;
  auto parsed = parse_payload(document.value());
  if (!parsed) return 0;
  const Payload& payload = parsed.value();
  bool ok = !payload.image.empty() && payload.image.front() != '-' && payload.max_run_time >= seconds(1) &&
            payload.max_run_time <= seconds(max_run_time_s_max) && payload.artifacts.size() <= artifacts_max &&
            payload.resources.memory_bytes >= ResourceLimits::memory_bytes_min &&
            payload.resources.memory_bytes <= ResourceLimits::memory_bytes_max && payload.resources.cpus >= 0;
  if (!ok) __builtin_trap();
  for (const auto& word : payload.command) {
    if (word.find('\0') != std::string::npos) __builtin_trap();
  }
  for (const auto& artifact : payload.artifacts) {
    if (!artifact.path.starts_with('/')) __builtin_trap();
  }
  return 0;
}
