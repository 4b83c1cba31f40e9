#include "wire/payload.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::wire {
namespace {

constexpr FeatureInfo feature_table[] = {
    {"localLiveLog", "Live log", "The task's output can be read while it runs, as the artifact that payload.log names.",
     true},
    {"artifacts", "Artifacts", "Uploads what payload.artifacts names once the container has stopped.", true},
};

bool no_nul(std::string_view text) { return text.find('\0') == std::string_view::npos; }

bool is_absolute_path(std::string_view path) { return path.starts_with('/') && no_nul(path); }

bool is_artifact_name(std::string_view name) { return is_printable_ascii(name) && !name.empty(); }

bool is_env_name(std::string_view name) {
  return !name.empty() && no_nul(name) && name.find('=') == std::string_view::npos;
}

/// What an engine takes for a reference; keeps spaces, control characters and flags out ("-" first).
bool is_image_reference(std::string_view image) {
  if (image.empty() || image.front() == '-' || image.front() == '/') return false;
  return std::ranges::all_of(image, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-/:@+").find(c) != std::string_view::npos;
  });
}

constexpr ObjectReader::TextRule image_rule{1, 1024, is_image_reference,
                                            "an image reference such as \"debian:12\" or \"host:5000/team/app:1\""};
constexpr std::size_t word_bytes_max = 128 * 1024;  // what execve takes
constexpr ObjectReader::TextRule path_rule{1, 4096, is_absolute_path, "an absolute path inside the container"};
constexpr ObjectReader::TextRule log_rule{1, 1024, is_artifact_name, "printable ASCII"};

void read_image(ObjectReader& reader, Payload& payload) {
  const json::value* image = reader.require("image");
  if (!image) return;
  if (!image->is_object()) {
    payload.image = reader.required_text("image", image_rule);
    return;
  }
  ObjectReader typed(*image, reader.path_of("image"));
  std::string_view type = typed.required_text("type", {});
  if (typed.ok() && type != "docker-image") {
    typed.fail("type", fmt::format("\"{}\" is not supported; use \"docker-image\"", shorten(type, 40)));
  }
  payload.image = typed.required_text("name", image_rule);
  if (auto done = typed.finish(); !done) reader.fail(done.error());
}

void read_command(ObjectReader& reader, Payload& payload) {
  const json::array* command = reader.array("command", command_words_max);
  if (!command) return;
  for (std::size_t i = 0; i < command->size(); ++i) {
    const json::string* word = (*command)[i].if_string();
    if (!word || !no_nul(*word) || word->size() > word_bytes_max) {
      reader.fail(fmt::format("command.{}", i), "must be a string of at most 128 KiB without NUL");
      return;
    }
    payload.command.emplace_back(*word);
  }
}

void read_env(ObjectReader& reader, Payload& payload) {
  const json::object* env = reader.object("env", env_max);
  if (!env) return;
  for (const auto& member : *env) {
    const json::string* value = member.value().if_string();
    if (!is_env_name(member.key())) {
      reader.fail("env", fmt::format("\"{}\" cannot be the name of a variable", shorten(member.key(), 80)));
    } else if (!value || !no_nul(*value) || value->size() > word_bytes_max) {
      reader.fail(fmt::format("env.{}", shorten(member.key(), 80)), "must be a string of at most 128 KiB without NUL");
    } else {
      payload.env.emplace_back(member.key(), *value);
    }
  }
}

void read_artifact(ObjectReader& reader, Payload& payload, std::string_view name, const json::value& value) {
  if (!is_artifact_name(name) || name.size() > 1024) {
    reader.fail("artifacts",
                fmt::format("name \"{}\" must be 1 to 1024 printable ASCII characters", shorten(name, 80)));
    return;
  }
  ArtifactSpec artifact;
  artifact.name = name;
  ObjectReader entry(value, fmt::format("{}.{}", reader.path_of("artifacts"), name));
  std::string_view type = entry.required_text("type", {});
  if (type == "directory") {
    artifact.type = ArtifactSpec::Type::directory;
  } else if (type != "file") {
    entry.fail("type", fmt::format("\"{}\" must be \"file\" or \"directory\"", shorten(type, 40)));
  }
  artifact.path = entry.required_text("path", path_rule);
  artifact.expires = entry.time("expires");
  if (auto done = entry.finish(); !done) {
    reader.fail(done.error());
    return;
  }
  payload.artifacts.push_back(std::move(artifact));
}

void read_features(ObjectReader& reader, Payload& payload) {
  const json::value* value = reader.find("features");
  if (!value) return;
  ObjectReader switches(*value, reader.path_of("features"));
  for (const FeatureInfo& feature : feature_table) {
    if (switches.has(feature.name)) payload.features[std::string(feature.name)] = switches.boolean(feature.name, false);
  }
  if (auto done = switches.finish(); !done) reader.fail(done.error());
}

void read_resources(ObjectReader& reader, Payload& payload) {
  const json::value* value = reader.find("resources");
  if (!value) return;
  ObjectReader limits(*value, reader.path_of("resources"));
  ResourceLimits& resources = payload.resources;
  if (const json::value* memory = limits.find("memory")) {
    std::optional<std::int64_t> bytes;
    if (const json::string* text = memory->if_string()) bytes = parse_bytes(*text);
    if (memory->is_int64()) bytes = memory->get_int64();
    if (!bytes || *bytes < ResourceLimits::memory_bytes_min || *bytes > ResourceLimits::memory_bytes_max) {
      limits.fail("memory", "must be a size such as \"256m\" or \"2g\", or a number of bytes; at least 6m");
    } else {
      resources.memory_bytes = *bytes;
    }
  }
  resources.cpus = limits.real("cpus", 0.01, 4096, 0);
  resources.pids = limits.integer("pids", 1, 4'000'000, ResourceLimits::pids_default);
  if (auto done = limits.finish(); !done) reader.fail(done.error());
}

}  // namespace

std::span<const FeatureInfo> features() { return feature_table; }

bool Payload::feature(std::string_view name) const {
  auto chosen = features.find(std::string(name));
  if (chosen != features.end()) return chosen->second;
  return std::ranges::any_of(feature_table, [&](const auto& info) { return info.name == name && info.on_by_default; });
}

Result<Payload> parse_payload(const json::value& value) {
  Payload payload;
  ObjectReader reader(value, "payload");
  read_image(reader, payload);
  read_command(reader, payload);
  read_env(reader, payload);
  payload.max_run_time = seconds(reader.required_integer("maxRunTime", 1, max_run_time_s_max));
  if (const json::object* artifacts = reader.object("artifacts", artifacts_max)) {
    for (const auto& member : *artifacts) read_artifact(reader, payload, member.key(), member.value());
  }
  payload.log = reader.text("log", log_rule, payload.log);
  read_features(reader, payload);
  read_resources(reader, payload);
  TRY(reader.finish());
  return payload;
}

}  // namespace gantry::wire
