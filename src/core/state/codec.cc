#include "core/state/codec.h"

#include <algorithm>
#include <array>
#include <climits>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/json.h"

namespace gantry::state {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";

void add_digest(JsonWriter& out, std::string_view name, const wire::DefinitionDigest& digest) {
  std::array<char, 2 * std::tuple_size_v<wire::DefinitionDigest>> text;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    text[2 * i] = hex_digits[digest[i] >> 4];
    text[2 * i + 1] = hex_digits[digest[i] & 15];
  }
  out.field(name, std::string_view(text.data(), text.size()));
}

template <class Tag>
void add_slug(JsonWriter& out, std::string_view name, const SlugId<Tag>& id) {
  char text[22];
  encode_slug(id.bytes(), text);
  out.field(name, std::string_view(text, sizeof text));
}

std::optional<wire::DefinitionDigest> from_hex(std::string_view text) {
  wire::DefinitionDigest digest{};
  if (text.size() != digest.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    std::size_t high = std::string_view(hex_digits).find(text[i * 2]);
    std::size_t low = std::string_view(hex_digits).find(text[i * 2 + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return digest;
}

void add_time(JsonWriter& out, std::string_view name, Time time) {
  if (time != Time()) out.field(name, to_ms(time));
}

void add_text(JsonWriter& out, std::string_view name, const std::string& text) {
  if (!text.empty()) out.field(name, text);
}

void add_exit(JsonWriter& out, const ExitReport& exit) {
  if (!exit.known) return;
  out.key("exit").begin_object().field("cause", exit.cause).field("code", exit.exit_code);
  if (exit.signal) out.field("signal", exit.signal);
  if (exit.out_of_memory) out.field("oom", true);
  add_text(out, "message", exit.message);
  if (!exit.steps.empty()) {
    out.key("steps").begin_object();
    for (const auto& [name, at] : exit.steps) out.field(name, to_ms(at));
    out.end_object();
  }
  out.end_object();
}

void add_run(JsonWriter& out, const Run& run) {
  out.begin_object();
  out.field("state", name_of(run.state)).field("reasonCreated", name_of(run.reason_created));
  if (run.reason_resolved != ReasonResolved::none) out.field("reasonResolved", name_of(run.reason_resolved));
  add_text(out, "workerGroup", run.worker_group);
  add_text(out, "workerId", run.worker_id);
  add_time(out, "takenUntil", run.taken_until);
  add_time(out, "scheduled", run.scheduled);
  add_time(out, "started", run.started);
  add_time(out, "resolved", run.resolved);
  add_exit(out, run.exit);
  out.end_object();
}

/// A stored record, read field by field; anything unexpected makes the record corrupt.
class Stored {
 public:
  Stored(std::string_view kind, std::string_view bytes) : kind_(kind), memory_(buffer_, sizeof buffer_) {
    auto parsed = parse_json(bytes, &memory_);
    if (!parsed || !parsed.value().is_object()) {
      damage("not a JSON object");
      return;
    }
    document_ = std::move(parsed).value();
    object_ = document_.if_object();
    std::int64_t version = number("v", 0);
    if (version > record_version) {
      error_ = Error(ErrorCode::unsupported,
                     fmt::format("a stored {} has format {}, this build knows {}", kind_, version, record_version),
                     "start the newer gantry that wrote it");
    }
  }

  void use(const json::value& value) { object_ = value.if_object(); }
  const json::object& object() const { return *object_; }

  std::string_view text(std::string_view key) {
    const json::value* value = find(key);
    if (!value) return {};
    if (const json::string* text = value->if_string()) return *text;
    damage(key);
    return {};
  }
  std::int64_t number(std::string_view key, std::int64_t otherwise) {
    const json::value* value = find(key);
    if (!value) return otherwise;
    boost::system::error_code error;
    auto number = value->to_number<std::int64_t>(error);
    if (error) damage(key);
    return number;
  }
  double real(std::string_view key) {
    const json::value* value = find(key);
    if (!value) return 0;
    boost::system::error_code error;
    auto number = value->to_number<double>(error);
    if (error) damage(key);
    return number;
  }
  bool flag(std::string_view key, bool otherwise) {
    const json::value* value = find(key);
    return value && value->is_bool() ? value->get_bool() : otherwise;
  }
  Time time(std::string_view key) {
    Time at = time_from_ms(number(key, 0));
    if (at < time_min || at > time_max) damage(key);
    return std::clamp(at, time_min, time_max);
  }
  int integer(std::string_view key, int otherwise) {
    std::int64_t value = number(key, otherwise);
    if (value < INT_MIN || value > INT_MAX) damage(key);
    return static_cast<int>(std::clamp<std::int64_t>(value, INT_MIN, INT_MAX));
  }
  template <class Tag>
  SlugId<Tag> slug(std::string_view key) {
    auto id = SlugId<Tag>::parse(text(key));
    if (!id) damage(key);
    return id.value_or(SlugId<Tag>());
  }
  template <class Enum>
  Enum word(std::string_view key, std::optional<Enum> (*parse)(std::string_view)) {
    auto value = parse(text(key));
    if (!value) damage(key);
    return value.value_or(Enum());
  }
  const json::value* find(std::string_view key) { return object_ ? object_->if_contains(key) : nullptr; }

  void damage(std::string_view what) {
    if (error_) return;
    error_ = Error(ErrorCode::corrupt, fmt::format("a stored {} is damaged: {}", kind_, what),
                   "restore the database from a backup");
  }

  template <class Record>
  Result<Record> finish(Record record) {
    if (error_) return *error_;
    return record;
  }

 private:
  std::string_view kind_;
  unsigned char buffer_[4096];
  json::monotonic_resource memory_;
  json::value document_ = json::value(json::storage_ptr(&memory_));
  const json::object* object_ = nullptr;
  std::optional<Error> error_;
};

Run read_run(Stored& stored) {
  Run run;
  run.state = stored.word("state", wire::parse_task_state);
  run.reason_created = stored.word("reasonCreated", wire::parse_reason_created);
  if (stored.find("reasonResolved")) run.reason_resolved = stored.word("reasonResolved", wire::parse_reason_resolved);
  run.worker_group = stored.text("workerGroup");
  run.worker_id = stored.text("workerId");
  run.taken_until = stored.time("takenUntil");
  run.scheduled = stored.time("scheduled");
  run.started = stored.time("started");
  run.resolved = stored.time("resolved");
  if (const json::value* exit = stored.find("exit")) {
    stored.use(*exit);
    run.exit.known = true;
    run.exit.cause = stored.text("cause");
    run.exit.exit_code = stored.integer("code", 0);
    run.exit.signal = stored.integer("signal", 0);
    run.exit.out_of_memory = stored.flag("oom", false);
    run.exit.message = stored.text("message");
    const json::value* steps = stored.find("steps");
    if (steps && steps->is_object()) {
      for (const auto& step : steps->get_object()) {
        stored.use(*steps);
        run.exit.steps.emplace_back(step.key(), stored.time(step.key()));
      }
    }
  }
  return run;
}

constexpr std::string_view task_fields[] = {"v",        "id",      "queue",       "scheduler", "project",  "group",
                                            "priority", "retries", "retriesLeft", "created",   "deadline", "expires",
                                            "memory",   "cpus",    "digest",      "runs"};

std::string unknown_fields_of(const json::object& object) {
  std::string fields;
  for (const auto& member : object) {
    if (std::ranges::find(task_fields, std::string_view(member.key())) != std::end(task_fields)) continue;
    fields += ',';
    append_json_string(fields, member.key());
    fields += ':';
    append_canonical_json(fields, member.value());
  }
  return fields;
}

}  // namespace

std::string encode(const Task& task) {
  std::string bytes;
  bytes.reserve(640);
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  add_slug(out, "id", task.id);
  out.field("queue", task.task_queue);
  if (task.scheduler != "-") out.field("scheduler", task.scheduler);
  if (task.project != "none") out.field("project", task.project);
  if (task.group != task.id) add_slug(out, "group", task.group);
  out.field("priority", name_of(task.priority)).field("retries", task.retries).field("retriesLeft", task.retries_left);
  add_time(out, "created", task.created);
  add_time(out, "deadline", task.deadline);
  add_time(out, "expires", task.expires);
  if (task.memory_bytes) out.field("memory", task.memory_bytes);
  if (task.cpus > 0) out.field("cpus", task.cpus);
  add_digest(out, "digest", task.digest);
  out.key("runs").begin_array();
  for (const Run& run : task.runs) add_run(out, run);
  out.end_array();
  bytes += task.unknown_fields;
  out.end_object();
  return bytes;
}

Result<Task> decode_task(std::uint64_t sequence, std::string_view bytes) {
  Stored stored("task", bytes);
  Task task;
  task.sequence = sequence;
  if (stored.find("id")) {
    task.id = stored.slug<TaskTag>("id");
    task.task_queue = stored.text("queue");
    task.scheduler = stored.find("scheduler") ? stored.text("scheduler") : "-";
    task.project = stored.find("project") ? stored.text("project") : "none";
    task.group = stored.find("group") ? stored.slug<TaskTag>("group") : task.id;
    task.priority = stored.word("priority", wire::parse_priority);
    task.retries = stored.integer("retries", 0);
    task.retries_left = stored.integer("retriesLeft", 0);
    task.created = stored.time("created");
    task.deadline = stored.time("deadline");
    task.expires = stored.time("expires");
    task.memory_bytes = stored.number("memory", 0);
    task.cpus = stored.real("cpus");
    auto digest = from_hex(stored.text("digest"));
    if (!digest) stored.damage("digest");
    task.digest = digest.value_or(wire::DefinitionDigest{});
    task.unknown_fields = unknown_fields_of(stored.object());
    const json::value* runs = stored.find("runs");
    const json::array* array = runs ? runs->if_array() : nullptr;
    if (!array) stored.damage("runs");
    for (std::size_t i = 0; array && i < array->size(); ++i) {
      stored.use((*array)[i]);
      task.runs.push_back(read_run(stored));
    }
  } else {
    stored.damage("id");
  }
  return stored.finish(std::move(task));
}

std::string artifact_key_name(int run, std::string_view name) { return fmt::format("{}/{}", run, name); }

std::string encode(const Artifact& artifact) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version).field("task", artifact.id.task.to_string());
  out.field("run", artifact.id.run).field("name", artifact.id.name).field("type", name_of(artifact.type));
  add_text(out, "contentType", artifact.content_type);
  if (artifact.content_bytes >= 0) out.field("bytes", artifact.content_bytes);
  add_time(out, "expires", artifact.expires);
  add_text(out, "target", artifact.target);
  add_text(out, "reason", artifact.reason);
  add_text(out, "message", artifact.message);
  if (!artifact.present) out.field("present", false);
  out.end_object();
  return bytes;
}

Result<Artifact> decode_artifact(std::uint64_t task_sequence, std::string_view bytes) {
  Stored stored("artifact", bytes);
  Artifact artifact;
  artifact.task_sequence = task_sequence;
  artifact.id.task = stored.slug<TaskTag>("task");
  artifact.id.run = stored.integer("run", 0);
  artifact.id.name = stored.text("name");
  artifact.type = stored.word("type", wire::parse_storage_type);
  artifact.content_type = stored.text("contentType");
  artifact.content_bytes = stored.number("bytes", -1);
  artifact.expires = stored.time("expires");
  artifact.target = stored.text("target");
  artifact.reason = stored.text("reason");
  artifact.message = stored.text("message");
  artifact.present = stored.flag("present", true);
  return stored.finish(std::move(artifact));
}

std::string encode(const Allocation& allocation) {
  std::string bytes;
  bytes.reserve(160);
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  add_slug(out, "task", allocation.id.task);
  out.field("run", allocation.id.run).field("worker", allocation.worker);
  if (!allocation.node.empty()) add_slug(out, "node", allocation.node);
  if (allocation.memory_bytes) out.field("memory", allocation.memory_bytes);
  if (allocation.cpus > 0) out.field("cpus", allocation.cpus);
  out.end_object();
  return bytes;
}

Result<Allocation> decode_allocation(std::uint64_t task_sequence, std::string_view bytes) {
  Stored stored("allocation", bytes);
  Allocation allocation;
  allocation.task_sequence = task_sequence;
  allocation.id.task = stored.slug<TaskTag>("task");
  allocation.id.run = stored.integer("run", 0);
  allocation.worker = stored.text("worker");
  if (stored.find("node")) allocation.node = stored.slug<NodeTag>("node");
  allocation.memory_bytes = stored.number("memory", 0);
  allocation.cpus = stored.real("cpus");
  return stored.finish(std::move(allocation));
}

std::string encode(const Node& node) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version).field("id", node.id.to_string()).field("name", node.name);
  out.field("queue", node.task_queue).field("workerGroup", node.worker_group).field("workerId", node.worker_id);
  out.field("slots", node.slots).field("memory", node.memory_bytes).field("cpus", node.cpus);
  out.field("version", node.version);
  add_time(out, "registered", node.registered);
  out.end_object();
  return bytes;
}

Result<Node> decode_node(std::string_view bytes) {
  Stored stored("node", bytes);
  Node node;
  node.id = stored.slug<NodeTag>("id");
  node.name = stored.text("name");
  node.task_queue = stored.text("queue");
  node.worker_group = stored.text("workerGroup");
  node.worker_id = stored.text("workerId");
  node.slots = stored.integer("slots", 0);
  node.memory_bytes = stored.number("memory", 0);
  node.cpus = stored.real("cpus");
  node.version = stored.text("version");
  node.registered = stored.time("registered");
  return stored.finish(std::move(node));
}

}  // namespace gantry::state
