#include "agent/images/image_name.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/crypto.h"
#include "base/error.h"
#include "base/text.h"

namespace gantry::agent {
namespace {

constexpr std::size_t name_bytes_max = 1024;
constexpr std::size_t shown_bytes_max = 200;
constexpr std::size_t md5_hex_digits = 32;

[[noreturn]] void refuse(std::string_view text) {
  throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not an image's name", shorten(text, shown_bytes_max)),
              "write it as [registry[:port]/]name[:tag] or name@sha256:digest");
}

bool is_host(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:") != std::string_view::npos;
}

bool allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._-:/@").find(c) != std::string_view::npos;
}

/// Of a path: empty, or one that means another folder.
bool has_bad_part(std::string_view path) {
  for (std::size_t at = 0; at <= path.size();) {
    std::size_t end = std::min(path.find('/', at), path.size());
    std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return true;
    at = end + 1;
  }
  return false;
}

bool is_hex_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

std::string normal_registry(std::string_view host) {
  constexpr std::array<std::string_view, 3> other_names = {"index.docker.io", "registry-1.docker.io",
                                                           "registry.hub.docker.com"};
  return std::string(std::ranges::find(other_names, host) == other_names.end() ? host : default_registry);
}

std::string ImageName::normal() const { return fmt::format("{}/{}{}{}", host, path, by_digest ? '@' : ':', tag); }

ImageName parse_image_name(std::string_view text) {
  if (text.size() > name_bytes_max || !std::ranges::all_of(text, allowed) || has_bad_part(text)) refuse(text);
  ImageName name;
  std::string_view rest = text;
  if (std::size_t at = rest.find('@'); at != std::string_view::npos) {
    name.tag = rest.substr(at + 1);
    name.by_digest = true;
    rest = rest.substr(0, at);
    bool digest = name.tag.find(':') != std::string::npos && name.tag.find_first_of("@/") == std::string::npos;
    if (!digest) refuse(text);
  }
  std::size_t colon = rest.rfind(':');
  std::size_t slash = rest.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    std::string_view tag = rest.substr(colon + 1);
    if (tag.empty()) refuse(text);
    if (!name.by_digest) name.tag = tag;
    rest = rest.substr(0, colon);
  }
  if (name.tag.empty()) name.tag = "latest";
  bool second_tag = rest.substr(rest.rfind('/') + 1).find(':') != std::string_view::npos;
  if (has_bad_part(rest) || second_tag) refuse(text);
  name.repository = rest;
  std::size_t first = rest.find('/');
  if (first != std::string_view::npos && is_host(rest.substr(0, first))) {
    name.host = normal_registry(rest.substr(0, first));
    name.path = rest.substr(first + 1);
  } else {
    name.host = default_registry;
    name.path = rest;
  }
  if (name.host == default_registry && name.path.find('/') == std::string::npos) name.path = "library/" + name.path;
  return name;
}

bool same_image(std::string_view one, std::string_view other) {
  try {
    return parse_image_name(one).normal() == parse_image_name(other).normal();
  } catch (const Error&) {
    return false;
  }
}

std::string task_image_reference(std::string_view task, std::string_view path) {
  std::string text = fmt::format("{}{}", task, path);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  std::size_t bytes = 0;
  int done = EVP_Q_digest(nullptr, "MD5", nullptr, text.data(), text.size(), digest.data(), &bytes);
  GANTRY_ASSERT(done == 1);
  return hex({reinterpret_cast<const char*>(digest.data()), bytes}) + ":latest";
}

bool is_task_image_reference(const ImageName& name) {
  std::string_view path = name.path;
  constexpr std::string_view folder = "library/";
  if (name.host != default_registry || !path.starts_with(folder)) return false;
  path.remove_prefix(folder.size());
  return path.size() == md5_hex_digits && std::ranges::all_of(path, is_hex_digit);
}

}  // namespace gantry::agent
