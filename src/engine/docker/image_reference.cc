#include "engine/docker/image_reference.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/error.h"
#include "engine/docker/limits.h"

namespace gantry::engine::docker {

namespace {

bool allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._-:/@").find(c) != std::string_view::npos;
}

bool has_bad_part(std::string_view text) {
  for (std::size_t at = 0; at <= text.size();) {
    std::size_t end = std::min(text.find('/', at), text.size());
    std::string_view part = text.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return true;
    at = end + 1;
  }
  return false;
}

[[noreturn]] void refuse(std::string_view text) {
  throw Error(ErrorCode::invalid_input,
              fmt::format("\"{}\" is not an image reference", text.substr(0, image_reference_bytes_max)),
              "write it as [registry[:port]/]name[:tag] or name@sha256:digest");
}

}  // namespace

ImageReference parse_image_reference(std::string_view text) {
  if (text.size() > image_reference_bytes_max || !std::ranges::all_of(text, allowed) || has_bad_part(text))
    refuse(text);
  ImageReference reference;
  std::string_view name = text;
  if (std::size_t at = text.find('@'); at != std::string_view::npos) {
    reference.tag = text.substr(at + 1);
    name = text.substr(0, at);
    bool digest =
        reference.tag.find(':') != std::string::npos && reference.tag.find_first_of("@/") == std::string::npos;
    if (!digest) refuse(text);
  }
  std::size_t colon = name.rfind(':');
  std::size_t slash = name.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    if (reference.tag.empty()) reference.tag = name.substr(colon + 1);  // a digest beats the tag beside it
    name = name.substr(0, colon);
    if (reference.tag.empty()) refuse(text);
  }
  bool second_tag = name.substr(name.rfind('/') + 1).find(':') != std::string_view::npos;
  if (name.empty() || second_tag) refuse(text);
  reference.name = name;
  if (reference.tag.empty()) reference.tag = "latest";
  return reference;
}

}  // namespace gantry::engine::docker
