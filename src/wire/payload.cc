#include "wire/payload.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "wire/payload_check.h"
#include "wire/payload_keys.h"

namespace gantry::wire {
namespace {

// Readers of a payload that has been found good: what is there has the right form.

const json::object& object_at(const json::object& object, std::string_view key) {
  static const json::object none;
  const json::value* value = object.if_contains(key);
  return value ? value->get_object() : none;
}

std::string text_at(const json::object& object, std::string_view key, std::string_view otherwise = {}) {
  const json::value* value = object.if_contains(key);
  return std::string(value ? std::string_view(value->get_string()) : otherwise);
}

bool flag_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->get_bool();
}

std::vector<std::string> texts_at(const json::object& object, std::string_view key) {
  std::vector<std::string> texts;
  const json::value* value = object.if_contains(key);
  if (!value) return texts;
  for (const json::value& text : value->get_array()) texts.emplace_back(text.get_string());
  return texts;
}

std::vector<int> numbers_at(const json::object& object, std::string_view key) {
  std::vector<int> numbers;
  const json::value* value = object.if_contains(key);
  if (!value) return numbers;
  for (const json::value& number : value->get_array()) numbers.push_back(number.to_number<int>());
  return numbers;
}

ImageSource image_of(const json::value& value) {
  ImageSource image;
  const json::object* object = value.if_object();
  if (!object) {
    image.name = value.get_string();
    return image;
  }
  std::string type = text_at(*object, "type");
  if (type == "indexed-image") image.kind = ImageSource::Kind::indexed;
  if (type == "task-image") image.kind = ImageSource::Kind::task;
  image.name = text_at(*object, "name");
  image.index_namespace = text_at(*object, "namespace");
  image.task = text_at(*object, "taskId");
  image.path = text_at(*object, "path");
  return image;
}

ArtifactSpec artifact_of(std::string_view name, const json::object& object) {
  ArtifactSpec artifact;
  artifact.name = name;
  std::string type = text_at(object, "type");
  if (type == "directory") artifact.type = ArtifactSpec::Type::directory;
  if (type == "volume") artifact.type = ArtifactSpec::Type::volume;
  artifact.path = text_at(object, "path");
  if (object.contains("expires")) artifact.expires = parse_time(text_at(object, "expires"));
  artifact.optional = flag_at(object, "optional");
  return artifact;
}

/// "/a//b/./" is "/a/b"; ".." goes up, as an engine reads it.
std::string plain_path(const std::string& path) {
  std::string plain = std::filesystem::path(path).lexically_normal().string();
  while (plain.size() > 1 && plain.ends_with('/')) plain.pop_back();
  return plain;
}

/// What an engine would refuse only when the task starts.
Result<void> check_cache_paths(const std::map<std::string, std::string>& caches) {
  std::map<std::string, std::string_view> names;  // by path
  for (const auto& [name, path] : caches) {
    std::string plain = plain_path(path);
    if (plain.find_first_not_of('/') == std::string::npos) {
      return Error(ErrorCode::invalid_input, fmt::format("payload.cache.{}: must not be the root directory", name));
    }
    auto [other, first] = names.emplace(std::move(plain), name);
    if (first) continue;
    return Error(ErrorCode::invalid_input,
                 fmt::format("payload.cache.{}: \"{}\" is where cache \"{}\" is mounted", name, path, other->second));
  }
  return success();
}

void read_capabilities(const json::object& capabilities, Payload& payload) {
  payload.privileged = flag_at(capabilities, "privileged");
  payload.disable_seccomp = flag_at(capabilities, "disableSeccomp");
  const json::object& devices = object_at(capabilities, "devices");
  for (const PayloadKey& key : payload_keys_at("capabilities.devices")) {
    if (flag_at(devices, key.key)) payload.devices.emplace_back(key.key);
  }
}

void read_resources(const json::object& given, ResourceLimits& limits) {
  auto size = [&given](std::string_view key, std::int64_t& bytes) {
    if (const json::value* value = given.if_contains(key)) bytes = size_bytes(*value);
  };
  size("memory", limits.memory_bytes);
  size("disk", limits.disk_bytes);
  size("shm", limits.shm_bytes);
  if (const json::value* cpus = given.if_contains("cpus")) limits.cpus = cpus->to_number<double>();
  if (const json::value* pids = given.if_contains("pids")) limits.pids = pids->to_number<std::int64_t>();
}

bool holds(const std::vector<int>& codes, int code) { return std::ranges::find(codes, code) != codes.end(); }

}  // namespace

std::string ImageSource::to_string() const {
  switch (kind) {
    case Kind::indexed: return fmt::format("{} of {} in the index", path, index_namespace);
    case Kind::task: return fmt::format("{} of task {}", path, task);
    case Kind::registry: break;
  }
  return name;
}

bool OnExitStatus::retries(int exit_code) const { return holds(retry, exit_code); }
bool OnExitStatus::purges_caches(int exit_code) const { return holds(purge_caches, exit_code); }

bool Payload::feature(std::string_view name) const {
  auto chosen = features.find(name);
  if (chosen != features.end()) return chosen->second;
  return std::ranges::any_of(payload_keys_at("features"),
                             [&](const PayloadKey& key) { return key.key == name && key.otherwise == "true"; });
}

Result<Payload> parse_payload(const json::value& value) {
  PayloadVerdict verdict = check_payload(value);
  if (verdict.error) return *verdict.error;
  const json::object& given = value.get_object();
  Payload payload;
  payload.image = image_of(given.at("image"));
  payload.command = texts_at(given, "command");
  for (const auto& member : object_at(given, "env"))
    payload.env.emplace_back(member.key(), member.value().get_string());
  payload.max_run_time = seconds(given.at("maxRunTime").to_number<std::int64_t>());
  for (const auto& member : object_at(given, "cache")) payload.caches[member.key()] = member.value().get_string();
  TRY(check_cache_paths(payload.caches));
  for (const auto& member : object_at(given, "artifacts")) {
    payload.artifacts.push_back(artifact_of(member.key(), member.value().get_object()));
  }
  payload.log = text_at(given, "log", payload.log);
  for (const auto& member : object_at(given, "features")) payload.features[member.key()] = member.value().get_bool();
  read_capabilities(object_at(given, "capabilities"), payload);
  const json::object& on_exit = object_at(given, "onExitStatus");
  payload.on_exit_status = {numbers_at(on_exit, "retry"), numbers_at(on_exit, "purgeCaches")};
  payload.graphs = texts_at(given, "graphs");
  payload.side_containers = texts_at(given, "sideContainers");
  payload.superseder_url = text_at(given, "supersederUrl");
  payload.encrypted_env = texts_at(given, "encryptedEnv");
  read_resources(object_at(given, "resources"), payload.resources);
  payload.plug_ins = std::move(verdict.plug_ins);
  return payload;
}

}  // namespace gantry::wire
