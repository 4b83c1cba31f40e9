// Answers of a Docker engine from arbitrary bytes: no crash, the error that is promised, and values within their
// bounds; the progress of a pull says the same however its stream is cut; an image's name is split or refused.
#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/docker/docker_json.h"
#include "engine/docker/image_reference.h"
#include "engine/docker/limits.h"
#include "engine/docker/pull_progress.h"

namespace gantry::engine::docker {
namespace {

/// Nothing if it was refused as `refusal`; another error is a crash.
template <class Parse>
auto read(Parse parse, std::string_view bytes, ErrorCode refusal) -> std::optional<decltype(parse(bytes))> {
  try {
    return parse(bytes);
  } catch (const Error& error) {
    GANTRY_ASSERT(error.code() == refusal);
    return std::nullopt;
  }
}

void try_answers(std::string_view bytes) {
  constexpr ErrorCode refusal = ErrorCode::unsupported;
  read(parse_id, bytes, refusal);
  if (auto state = read(parse_container_state, bytes, refusal)) {
    GANTRY_ASSERT(state->started >= time_min && state->started <= time_max);
    GANTRY_ASSERT(state->pid >= 0);
    GANTRY_ASSERT(state->finished >= time_min && state->finished <= time_max);
  }
  read(parse_stored_root, bytes, refusal);
  if (auto list = read(parse_container_list, bytes, refusal)) {
    for (const ContainerSummary& container : *list) GANTRY_ASSERT(container.created <= time_max);
  }
  if (auto image = read(parse_image, bytes, refusal)) GANTRY_ASSERT(image->bytes >= 0);
  if (auto images = read(parse_image_list, bytes, refusal)) {
    for (const ImageInfo& image : *images) GANTRY_ASSERT(image.bytes >= 0 && image.created >= Time());
  }
  if (auto volumes = read(parse_volume_list, bytes, refusal)) {
    for (const VolumeInfo& volume : *volumes) GANTRY_ASSERT(volume.created >= Time() && volume.created <= time_max);
  }
  if (auto loaded = read(parse_load, bytes, refusal)) {
    for (const std::string& image : loaded->images) GANTRY_ASSERT(!image.empty());
    GANTRY_ASSERT(loaded->error.size() <= error_text_bytes_max);
  }
  read(parse_exec_state, bytes, refusal);
  if (auto network = read(parse_network_info, bytes, refusal)) {
    GANTRY_ASSERT(network->gateway.find('/') == std::string::npos);
  }
  read(parse_wait, bytes, refusal);
  read(parse_networks, bytes, refusal);
  if (auto version = read(parse_version, bytes, refusal)) {
    auto negotiate = [&](std::string_view) { return negotiate_version(*version); };
    if (auto spoken = read(negotiate, bytes, refusal)) GANTRY_ASSERT(version_prefix(*spoken).starts_with("/v1."));
  }
  auto info_of = [](std::string_view body) {
    EngineInfo info;
    parse_info(body, info);
    return info;
  };
  if (auto info = read(info_of, bytes, refusal)) {
    GANTRY_ASSERT(info->cpus >= 0 && info->memory_bytes >= 0);
    GANTRY_ASSERT(info->cgroup_version == 1 || info->cgroup_version == 2);
  }
  GANTRY_ASSERT(!error_text(500, bytes).empty());
}

/// What a pull reports, and at last how it failed, if it did.
std::string pull(std::string_view bytes, std::size_t piece_bytes) {
  std::string said;
  PullProgress progress("image", [&](const std::string& line) { said += line + "\n"; });
  try {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece_bytes, bytes.size()))) {
      progress.feed(bytes.substr(0, piece_bytes), seconds(1));
    }
    progress.finish(seconds(1));
  } catch (const Error& error) {
    said += error.message();
  }
  return said;
}

void try_image(std::string_view text) {
  auto image = read(parse_image_reference, text, ErrorCode::invalid_input);
  if (!image) return;
  GANTRY_ASSERT(!image->name.empty() && !image->tag.empty());
  bool digest = image->tag.find(':') != std::string::npos;
  auto again = read(parse_image_reference, image->name + (digest ? "@" : ":") + image->tag, ErrorCode::invalid_input);
  GANTRY_ASSERT(again && again->name == image->name && again->tag == image->tag);
}

}  // namespace
}  // namespace gantry::engine::docker

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::engine::docker;
  if (size < 1) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try_answers(bytes);
  GANTRY_ASSERT(pull(bytes, bytes.size() + 1) == pull(bytes, 1 + data[0] % 32));
  try_image(bytes);
  return 0;
}
