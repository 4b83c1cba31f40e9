#include "agent/images/registries.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "agent/images/limits.h"
#include "base/files.h"
#include "base/json.h"
#include "base/text.h"

namespace gantry::agent {
namespace {

constexpr std::string_view mirrors_key = "mirrors";
constexpr std::size_t shown_bytes_max = 100;

bool is_place(std::string_view text) {
  bool whole = !text.empty() && text.front() != '/' && text.back() != '/' && text.find("//") == std::string_view::npos;
  return whole && is_printable_ascii(text) && text.find_first_of(" @\"") == std::string_view::npos;
}

/// "host" or "host/path" with the host's usual name.
std::string normal_place(std::string_view text) {
  std::size_t slash = std::min(text.find('/'), text.size());
  return normal_registry(text.substr(0, slash)) + std::string(text.substr(slash));
}

Error wrong(std::string_view where, std::string_view what) {
  return Error(ErrorCode::invalid_input, fmt::format("{}: {}", shorten(where, shown_bytes_max), what),
               "see docs/images.md");
}

/// The part of a mirror's URL that goes into an image's name. A user name in it would end in logs.
Result<std::string> mirror_place(const std::string& registry, const json::value& value) {
  std::string where = fmt::format("mirrors.{}", registry);
  if (!value.is_string()) return wrong(where, "must be a list of URLs");
  std::string_view url(value.get_string());
  for (std::string_view scheme : {"http://", "https://"}) {
    if (url.starts_with(scheme)) url.remove_prefix(scheme.size());
  }
  while (url.ends_with('/')) url.remove_suffix(1);
  if (!is_place(url)) return wrong(where, "must be URLs as http://host:port, without a user name");
  return std::string(url);
}

Result<std::vector<std::string>> mirror_places(const std::string& registry, const json::value& value) {
  const json::array* list = value.if_array();
  if (!list || list->empty() || list->size() > mirrors_max) {
    return wrong(fmt::format("mirrors.{}", registry), fmt::format("must be a list of 1 to {} URLs", mirrors_max));
  }
  std::vector<std::string> places;
  for (const json::value& url : *list) {
    TRY(std::string place, mirror_place(registry, url));
    places.push_back(std::move(place));
  }
  return places;
}

void check_mode(const std::string& path) {
  struct ::stat status{};
  if (::stat(path.c_str(), &status) != 0) return;  // reading it says why
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
  throw Error(ErrorCode::not_authorized, fmt::format("{} holds passwords, and others than its owner may read it", path),
              fmt::format("chmod 600 {}", path));
}

}  // namespace

Result<Registries> parse_registries(std::string_view text) {
  auto document = parse_json(text);
  // The parser's own words may quote the text, which holds passwords.
  if (!document) return Error(ErrorCode::invalid_input, "is not JSON", "see docs/images.md");
  const json::object* object = document.value().if_object();
  if (!object) return Error(ErrorCode::invalid_input, "must be a JSON object", "see docs/images.md");
  if (object->size() > registries_max) return wrong("it", fmt::format("has more than {} entries", registries_max));
  Registries registries;
  for (const auto& member : *object) {
    std::string name(member.key());
    if (name == mirrors_key) {
      const json::object* mirrors = member.value().if_object();
      if (!mirrors) return wrong(name, "must be an object of lists, by registry");
      for (const auto& registry : *mirrors) {
        std::string host(registry.key());
        if (!is_place(host) || host.find('/') != std::string::npos) return wrong(host, "is not a registry's host");
        TRY(std::vector<std::string> places, mirror_places(host, registry.value()));
        registries.mirrors_[normal_registry(host)] = std::move(places);
      }
      continue;
    }
    if (!is_place(name)) return wrong(name, "must be a registry as host[:port] or host[:port]/path");
    ObjectReader reader(member.value(), shorten(name, shown_bytes_max));
    Registries::Login login;
    login.username = reader.required_text("username", {.characters_min = 1});
    login.password = reader.required_text("password", {.characters_min = 1});
    TRY(reader.finish());
    registries.logins_[normal_place(name)] = std::move(login);
  }
  return registries;
}

Registries read_registries(const std::string& path) {
  check_mode(path);
  auto registries = parse_registries(read_text_file(path, registries_bytes_max));
  if (!registries) throw registries.error().in(path);
  return std::move(registries).assume_value();
}

std::optional<engine::RegistryLogin> Registries::login_for(const ImageName& image) const {
  std::string place = fmt::format("{}/{}", image.host, image.path);
  while (!place.empty()) {
    if (auto found = logins_.find(place); found != logins_.end()) {
      return engine::RegistryLogin{found->second.username, found->second.password, image.host};
    }
    std::size_t slash = place.rfind('/');
    place.resize(slash == std::string::npos ? 0 : slash);
  }
  return std::nullopt;
}

std::vector<std::string> Registries::on_mirrors(const ImageName& image) const {
  std::vector<std::string> names;
  auto found = mirrors_.find(image.host);
  if (found == mirrors_.end()) return names;
  for (const std::string& mirror : found->second) {
    names.push_back(fmt::format("{}/{}{}{}", mirror, image.path, image.by_digest ? '@' : ':', image.tag));
  }
  return names;
}

}  // namespace gantry::agent
