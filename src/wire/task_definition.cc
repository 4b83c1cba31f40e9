#include "wire/task_definition.h"

#include <algorithm>
#include <cstring>

#include <boost/json/monotonic_resource.hpp>
#include <fmt/format.h>

#include "base/crypto.h"
#include "base/text.h"
#include "wire/payload.h"

namespace gantry::wire {
namespace {

bool is_identifier_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool is_project(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return is_identifier_char(c) || c == '.' || c == '/'; });
}

bool is_source(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("ssh://") ||
         text.starts_with("git@");
}

constexpr ObjectReader::TextRule identifier_rule{1, 38, is_identifier, "1 to 38 of [a-zA-Z0-9-_]"};
constexpr ObjectReader::TextRule queue_rule{3, 77, is_task_queue_id, "\"<provisionerId>/<workerType>\""};
constexpr ObjectReader::TextRule project_rule{1, 500, is_project, "1 to 500 of [a-zA-Z0-9._/-]"};
constexpr ObjectReader::TextRule source_rule{0, 4096, is_source, "an http, https or ssh URL, or git@..."};

/// taskQueueId, or provisionerId with workerType, or both if they agree.
std::string read_task_queue(ObjectReader& reader) {
  std::string queue(reader.text("taskQueueId", queue_rule, ""));
  std::string provisioner(reader.text("provisionerId", identifier_rule, ""));
  std::string worker_type(reader.text("workerType", identifier_rule, ""));
  if (!reader.ok()) return {};
  if (provisioner.empty() != worker_type.empty()) {
    reader.contradict(provisioner.empty() ? "provisionerId" : "workerType",
                      "is required where the other of the two is given");
    return {};
  }
  std::string from_pair = provisioner.empty() ? "" : provisioner + "/" + worker_type;
  if (queue.empty() && from_pair.empty()) {
    reader.contradict("taskQueueId", "is required (or provisionerId and workerType)");
  }
  if (!queue.empty() && !from_pair.empty() && queue != from_pair) {
    std::string message = fmt::format("\"{}\" contradicts provisionerId and workerType \"{}\"", queue, from_pair);
    reader.contradict("taskQueueId", std::move(message));
  }
  return queue.empty() ? from_pair : queue;
}

/// Texts of printable ASCII. `ascii_in_schema`: the published schema says so, too; else it is only their meaning.
std::vector<std::string> read_texts(ObjectReader& reader, std::string_view key, std::size_t count_max,
                                    std::size_t characters_max, bool ascii_in_schema) {
  std::vector<std::string> texts;
  const json::array* array = reader.array(key, count_max);
  if (!array) return texts;
  for (const auto& element : *array) {
    const json::string* text = element.if_string();
    bool sized = text && !text->empty() && character_count(*text) <= characters_max;
    bool ascii = text && is_printable_ascii(*text);
    if (!sized || !ascii) {
      std::string path = fmt::format("{}.{}", key, texts.size());
      std::string message = fmt::format("must be 1 to {} printable ASCII characters", characters_max);
      if (!sized || ascii_in_schema) {
        reader.fail(path, std::move(message));
        return texts;
      }
      reader.contradict(path, std::move(message));
    }
    texts.emplace_back(*text);
  }
  return texts;
}

void read_routes(ObjectReader& reader, TaskDefinition& task) {
  task.routes = read_texts(reader, "routes", routes_max, 249, false);
  auto sorted = task.routes;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) reader.fail("routes", "has an element twice");
}

void read_scopes(ObjectReader& reader, TaskDefinition& task) {
  task.scopes = read_texts(reader, "scopes", scopes_max, 4096, true);
  for (const auto& scope : task.scopes) {
    if (scope.ends_with("**"))
      reader.contradict("scopes", fmt::format("\"{}\" must not end in two stars", shorten(scope, 80)));
  }
}

void read_dependencies(ObjectReader& reader, TaskDefinition& task) {
  const json::array* dependencies = reader.array("dependencies", dependencies_max);
  for (std::size_t i = 0; dependencies && i < dependencies->size(); ++i) {
    const json::string* text = (*dependencies)[i].if_string();
    auto id = text ? TaskId::parse(*text) : std::nullopt;
    if (!id) {
      reader.fail(fmt::format("dependencies.{}", i), "must be a taskId");
      return;
    }
    task.dependencies.push_back(*id);
  }
  auto sorted = task.dependencies;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) reader.fail("dependencies", "has an element twice");
  std::string_view requires_text = reader.text("requires", {}, "all-completed");
  if (requires_text != "all-completed" && requires_text != "all-resolved") {
    reader.fail("requires", "must be \"all-completed\" or \"all-resolved\"");
  }
  task.any_outcome = requires_text == "all-resolved";
}

void read_times(ObjectReader& reader, TaskDefinition& task) {
  if (!reader.require("created") || !reader.require("deadline")) return;
  task.created = reader.time("created").value_or(Time());
  task.deadline = reader.time("deadline").value_or(Time());
  task.expires = reader.time("expires").value_or(task.deadline + expires_default);
  if (!reader.ok()) return;
  if (task.deadline < task.created) reader.contradict("deadline", "is before created");
  if (task.deadline > task.created + deadline_max) reader.contradict("deadline", "is more than 5 days after created");
  if (task.expires < task.deadline) reader.contradict("expires", "is before deadline");
}

struct Metadata {
  std::string_view name, description, owner, source;
};

Metadata read_metadata(ObjectReader& reader) {
  Metadata metadata;
  const json::value* value = reader.require("metadata");
  if (!value) return metadata;
  ObjectReader object(*value, "metadata");
  metadata.name = object.required_text("name", {0, 255});
  metadata.description = object.required_text("description", {0, 32768});
  metadata.owner = object.required_text("owner", {0, 255});
  metadata.source = object.required_text("source", source_rule);
  if (auto done = object.finish(); !done) reader.fail(done.error());
  return metadata;
}

void read_tags(ObjectReader& reader, TaskDefinition& task) {
  const json::object* tags = reader.object("tags", tags_max);
  if (!tags || tags->empty()) return;
  for (const auto& tag : *tags) {
    const json::string* text = tag.value().if_string();
    if (!text || character_count(*text) > 4096) {
      reader.fail(fmt::format("tags.{}", shorten(tag.key(), 80)), "must be a string of at most 4096 characters");
    }
  }
  append_canonical_json(task.tags, *tags);
}

void read_payload(ObjectReader& reader, TaskDefinition& task, PayloadRule rule) {
  const json::value* payload = reader.require("payload");
  if (!payload) return;
  if (!payload->is_object()) reader.fail("payload", "must be an object");
  if (rule == PayloadRule::any_object || !reader.ok()) return;
  auto parsed = parse_payload(*payload);
  if (!parsed) {
    reader.fail(parsed.error());
    return;
  }
  task.memory_bytes = parsed.value().resources.memory_bytes;
  task.cpus = parsed.value().resources.cpus;
  for (const ArtifactSpec& artifact : parsed.value().artifacts) {
    if (artifact.expires && *artifact.expires > task.expires) {
      reader.contradict(fmt::format("payload.artifacts.{}.expires", artifact.name),
                        "must not be greater than task expiration");
    }
  }
}

void append_texts(JsonWriter& out, std::string_view key, const std::vector<std::string>& texts) {
  out.key(key).begin_array();
  for (const auto& text : texts) out.string(text);
  out.end_array();
}

void append_member(JsonWriter& out, std::string& bytes, const json::object& body, std::string_view key) {
  out.key(key);
  const json::value* value = body.if_contains(key);
  if (value) {
    append_canonical_json(bytes, *value);
    out.raw("");
  } else {
    out.raw("{}");
  }
}

std::string canonical_bytes(const TaskDefinition& task, const Metadata& metadata, const json::object& body) {
  std::string bytes;
  bytes.reserve(2048);
  JsonWriter out(bytes);
  auto slash = task.task_queue.find('/');
  out.begin_object();
  out.field("provisionerId", task.task_queue.substr(0, slash));
  out.field("workerType", task.task_queue.substr(slash + 1));
  out.field("taskQueueId", task.task_queue);
  out.field("schedulerId", task.scheduler).field("projectId", task.project);
  out.field("taskGroupId", task.group.to_string());
  out.key("dependencies").begin_array();
  for (TaskId dependency : task.dependencies) out.string(dependency.to_string());
  out.end_array();
  out.field("requires", task.any_outcome ? "all-resolved" : "all-completed");
  append_texts(out, "routes", task.routes);
  out.field("priority", name_of(task.priority)).field("retries", task.retries);
  out.field("created", task.created).field("deadline", task.deadline).field("expires", task.expires);
  append_texts(out, "scopes", task.scopes);
  append_member(out, bytes, body, "payload");
  out.key("metadata").begin_object();
  out.field("name", metadata.name).field("description", metadata.description);
  out.field("owner", metadata.owner).field("source", metadata.source).end_object();
  append_member(out, bytes, body, "tags");
  append_member(out, bytes, body, "extra");
  out.end_object();
  return bytes;
}

}  // namespace

bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() <= 38 && std::ranges::all_of(text, is_identifier_char);
}

bool is_task_queue_id(std::string_view text) {
  auto slash = text.find('/');
  return slash != std::string_view::npos && is_identifier(text.substr(0, slash)) &&
         is_identifier(text.substr(slash + 1));
}

Result<TaskDefinition> parse_task_definition(TaskId id, std::string_view body, const PayloadRuleOf& rule_of) {
  unsigned char buffer[16 * 1024];
  json::monotonic_resource memory(buffer, sizeof buffer);
  TRY(auto document, parse_json(body, &memory));
  TaskDefinition task;
  ObjectReader reader(document, "");
  task.task_queue = read_task_queue(reader);
  task.scheduler = reader.text("schedulerId", identifier_rule, "-");
  task.project = reader.text("projectId", project_rule, "none");
  std::string_view group = reader.text("taskGroupId", {}, "");
  if (auto parsed = TaskGroupId::parse(group)) {
    task.group = *parsed;
  } else if (reader.has("taskGroupId")) {
    reader.fail("taskGroupId", fmt::format("\"{}\" is not a slugid", shorten(group, 40)));
  } else {
    task.group = id;
  }
  read_dependencies(reader, task);
  read_routes(reader, task);
  std::string_view priority = reader.text("priority", {}, "lowest");
  if (auto parsed = parse_priority(priority)) {
    task.priority = *parsed;
  } else {
    reader.fail("priority", fmt::format("\"{}\" is not one of highest, very-high, high, medium, low, very-low, lowest",
                                        shorten(priority, 40)));
  }
  task.retries = static_cast<int>(reader.integer("retries", 0, retries_max, retries_default));
  read_times(reader, task);
  read_scopes(reader, task);
  Metadata metadata = read_metadata(reader);
  read_tags(reader, task);
  reader.object("extra", 100'000);
  read_payload(reader, task, reader.ok() ? rule_of(task.task_queue) : PayloadRule::any_object);
  TRY(reader.finish());
  task.canonical = canonical_bytes(task, metadata, document.get_object());
  std::size_t bytes =
      task.canonical.size() - std::min(task.canonical.size(), task.dependencies.size() * dependency_bytes);
  if (bytes > definition_bytes_max) {
    return Error(ErrorCode::too_large,
                 fmt::format("the task's definition has {} bytes without its dependencies; at most {} are allowed",
                             bytes, definition_bytes_max),
                 "put large inputs into an artifact or the image");
  }
  auto hash = sha256(task.canonical);
  std::memcpy(task.digest.data(), hash.data(), task.digest.size());
  return task;
}

}  // namespace gantry::wire
