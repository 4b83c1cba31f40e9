#include "agent/side_container_settings.h"

#include <algorithm>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "wire/task_definition.h"

namespace gantry::agent {
namespace {

constexpr std::size_t shown_bytes_max = 100;
constexpr std::size_t words_max = 1000;
constexpr std::size_t variables_max = 1000;
constexpr std::int64_t memory_bytes_min = std::int64_t{6} << 20;  // the least an engine accepts
constexpr std::int64_t memory_bytes_max = std::int64_t{1} << 50;
constexpr std::int64_t dind_memory_bytes = std::int64_t{4} << 30;
constexpr std::size_t host_name_characters_max = 63;

bool is_host_name(std::string_view name) {
  bool ends_well = !name.empty() && name.front() != '-' && name.back() != '-';
  return ends_well && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

bool is_path(std::string_view path) {
  return path.size() > 1 && path.front() == '/' && path.back() != '/' && path.find('\0') == std::string_view::npos &&
         path.find("/../") == std::string_view::npos && !path.ends_with("/..");
}

bool is_image(std::string_view image) { return is_printable_ascii(image) && image.front() != '-'; }

constexpr ObjectReader::TextRule image_rule{1, 1024, is_image, "an image reference"};
constexpr ObjectReader::TextRule alias_rule{1, host_name_characters_max, is_host_name,
                                            "a host name: of [a-z0-9.-], no \"-\" at its ends"};
constexpr ObjectReader::TextRule scope_rule{1, 1024, is_printable_ascii, "printable ASCII"};
constexpr ObjectReader::TextRule socket_rule{1, 4096, is_path, "an absolute path of a file"};

void read_variables(ObjectReader& reader, SideContainerSettings& settings) {
  const json::object* variables = reader.object("env", variables_max);
  if (!variables) return;
  for (const auto& variable : *variables) {
    std::string_view name = variable.key();
    bool good = !name.empty() && name.find('=') == std::string_view::npos && variable.value().is_string();
    if (!good) return reader.fail("env", "must have texts by names without \"=\"");
    settings.env.emplace(name, std::string(variable.value().get_string()));
  }
}

void read_command(ObjectReader& reader, SideContainerSettings& settings) {
  const json::array* words = reader.array("command", words_max);
  if (!words) return;
  for (const json::value& word : *words) {
    if (!word.is_string()) return reader.fail("command", "must be a list of texts");
    settings.command.emplace_back(word.get_string());
  }
}

Result<SideContainerSettings> parse_one(const std::string& name, const json::value& value) {
  ObjectReader reader(value, shorten(name, shown_bytes_max));
  SideContainerSettings settings;
  settings.image = reader.required_text("image", image_rule);
  settings.alias = reader.text("alias", alias_rule, "");
  const std::string usual = "docker-worker:side-container:" + name;
  settings.scope = reader.text("scope", scope_rule, usual);
  settings.privileged = reader.boolean("privileged", false);
  read_variables(reader, settings);
  read_command(reader, settings);
  settings.socket = reader.text("socket", socket_rule, "");
  settings.memory_bytes = reader.integer("memory", memory_bytes_min, memory_bytes_max, settings.memory_bytes);
  TRY(reader.finish());
  return settings;
}

void check_mode(const std::string& path) {
  struct ::stat status{};
  if (::stat(path.c_str(), &status) != 0) return;  // reading it says why
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
  throw Error(ErrorCode::not_authorized,
              fmt::format("{} may hold passwords, and others than its owner may read it", path),
              fmt::format("chmod 600 {}", path));
}

}  // namespace

Result<SideContainerList> parse_side_containers(std::string_view text) {
  const char* hint = "see docs/side-containers.md";
  auto document = parse_json(text);
  // The parser's own words may quote the text, which may hold passwords.
  if (!document) return Error(ErrorCode::invalid_input, "is not JSON", hint);
  const json::object* object = document.value().if_object();
  if (!object) return Error(ErrorCode::invalid_input, "must be a JSON object", hint);
  if (object->size() > side_containers_max) {
    return Error(ErrorCode::invalid_input, fmt::format("has more than {} entries", side_containers_max), hint);
  }
  SideContainerList list;
  for (const auto& member : *object) {
    std::string name(member.key());
    if (!wire::is_identifier(name)) {
      return Error(ErrorCode::invalid_input,
                   fmt::format("\"{}\" cannot be the name of a side container", shorten(name, shown_bytes_max)),
                   "use 1 to 38 of [a-zA-Z0-9-_]");
    }
    TRY(SideContainerSettings settings, parse_one(name, member.value()));
    list.emplace(std::move(name), std::move(settings));
  }
  return list;
}

SideContainerList read_side_containers(const std::string& path) {
  check_mode(path);
  auto list = parse_side_containers(read_text_file(path, side_containers_bytes_max));
  if (!list) throw list.error().in(path);
  return std::move(list).assume_value();
}

SideContainerSettings docker_in_docker(std::string image) {
  SideContainerSettings settings;
  settings.image = std::move(image);
  settings.scope = "docker-worker:capability:privileged";
  settings.privileged = true;
  settings.command = {"dockerd", fmt::format("--host=unix://{}/docker.sock", side_socket_folder)};
  settings.socket = "/var/run/docker.sock";
  settings.memory_bytes = dind_memory_bytes;
  return settings;
}

}  // namespace gantry::agent
