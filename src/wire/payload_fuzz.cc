// Payloads from arbitrary JSON: no crash, and whatever is accepted keeps its bounds.
#include "wire/payload.h"

namespace {

using gantry::wire::ImageSource;

bool good_image(const ImageSource& image) {
  if (image.kind != ImageSource::Kind::registry) return !image.path.empty();
  return !image.name.empty() && image.name.front() != '-';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  using namespace gantry::wire;
  auto document = parse_json({reinterpret_cast<const char*>(data), size});
  if (!document) return 0;
  auto parsed = parse_payload(document.value());
  if (!parsed) return 0;
  const Payload& payload = parsed.value();
  bool ok = good_image(payload.image) && payload.max_run_time >= seconds(1) &&
            payload.max_run_time <= seconds(max_run_time_s_max) && payload.artifacts.size() <= artifacts_max &&
            payload.resources.memory_bytes >= ResourceLimits::memory_bytes_min &&
            payload.resources.memory_bytes <= ResourceLimits::memory_bytes_max && payload.resources.cpus >= 0;
  if (!ok) __builtin_trap();
  for (const auto& word : payload.command) {
    if (word.find('\0') != std::string::npos) __builtin_trap();
  }
  for (const auto& [name, path] : payload.caches) {
    if (!path.starts_with('/') || name.empty() || name.find("::") != std::string::npos) __builtin_trap();
  }
  for (int code : payload.on_exit_status.retry) {
    if (code < 1 || code > 255) __builtin_trap();
  }
  if (payload.resources.shm_bytes < ResourceLimits::shm_bytes_min || payload.resources.disk_bytes < 0) __builtin_trap();
  for (const auto& artifact : payload.artifacts) {
    if (!artifact.path.starts_with('/')) __builtin_trap();
  }
  return 0;
}
