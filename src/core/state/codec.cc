#include "core/state/codec.h"

#include <algorithm>
#include <array>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/base64.h"
#include "base/planted.h"
#include "core/state/stored.h"

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

void add_exit(JsonWriter& out, const ExitReport* known) {
  if (!known || !known->known) return;
  const ExitReport& exit = *known;
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
  add_exit(out, run.exit.get());
  out.end_object();
}

std::shared_ptr<const ExitReport> read_exit(Stored& stored) {
  auto exit = std::make_shared<ExitReport>();
  exit->known = true;
  exit->cause = stored.text("cause");
  exit->exit_code = stored.integer("code", 0);
  exit->signal = stored.integer("signal", 0);
  exit->out_of_memory = stored.flag("oom", false);
  exit->message = stored.text("message");
  const json::value* steps = stored.find("steps");
  if (steps && steps->is_object()) {
    for (const auto& step : steps->get_object()) {
      stored.use(*steps);
      exit->steps.emplace_back(step.key(), stored.time(step.key()));
    }
  }
  return exit;
}

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
    run.exit = read_exit(stored);
  }
  return run;
}

constexpr std::string_view task_fields[] = {"v",        "id",      "queue",       "scheduler", "project",  "group",
                                            "priority", "retries", "retriesLeft", "created",   "deadline", "expires",
                                            "memory",   "cpus",    "digest",      "runs",      "waits",    "pulled",
                                            "pulls",    "routes",  "tags"};

void add_waits(JsonWriter& out, const Waits& waits) {
  std::string bits;
  bool forgotten = planted(PlantedBug::met_bits_not_stored);
  std::size_t left = forgotten ? waits.on->size() : waits.left;
  for (std::uint64_t word : waits.met) {
    if (forgotten) word = 0;
    for (int shift = 0; shift < 64; shift += 8) bits += static_cast<char>(word >> shift & 0xff);
  }
  out.key("waits").begin_object().field("left", static_cast<std::int64_t>(left));
  if (waits.any_outcome) out.field("anyOutcome", true);
  if (waits.until_scheduled) out.field("untilScheduled", true);
  out.field("met", base64_encode(bits)).end_object();
}

std::shared_ptr<const Waits> read_waits(Stored& stored, const json::value& value) {
  stored.use(value);
  auto waits = std::make_shared<Waits>();
  auto bits = base64_decode(stored.text("met"));
  if (!bits || bits->size() % 8 != 0) {
    stored.damage("waits");
    return nullptr;
  }
  waits->met.resize(bits->size() / 8);
  for (std::size_t i = 0; i < bits->size(); ++i) {
    waits->met[i / 8] |= std::uint64_t{static_cast<std::uint8_t>((*bits)[i])} << (i % 8 * 8);
  }
  waits->left = static_cast<std::uint32_t>(std::clamp(stored.integer("left", 0), 0, INT_MAX));
  waits->any_outcome = stored.flag("anyOutcome", false);
  waits->until_scheduled = stored.flag("untilScheduled", false);
  return waits;
}

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
  bool forgotten = planted(PlantedBug::pull_forgotten_after_restart);
  if (task.pulled != Priority::lowest && !forgotten) out.field("pulled", name_of(task.pulled));
  if (task.pulls) out.field("pulls", true);
  if (task.waits) add_waits(out, *task.waits);
  if (task.labels) {
    add_texts(out, "routes", task.labels->routes);
    if (!task.labels->tags.empty()) out.key("tags").raw(task.labels->tags);
  }
  out.key("runs").begin_array();
  for (const Run& run : task.runs) add_run(out, run);
  out.end_array();
  bytes += task.unknown_fields.str();
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
    task.pulls = stored.flag("pulls", false);
    if (stored.find("pulled")) task.pulled = stored.word("pulled", wire::parse_priority);
    const json::value* tags = stored.find("tags");
    if (tags || stored.find("routes")) {
      auto labels = std::make_shared<TaskLabels>();
      labels->routes = stored.texts("routes");
      if (tags) append_canonical_json(labels->tags, *tags);
      task.labels = std::move(labels);
    }
    const json::value* waits = stored.find("waits");
    const json::value* runs = stored.find("runs");
    const json::array* array = runs ? runs->if_array() : nullptr;
    if (!array) stored.damage("runs");
    for (std::size_t i = 0; array && i < array->size(); ++i) {
      stored.use((*array)[i]);
      task.runs.push_back(read_run(stored));
    }
    if (waits) task.waits = read_waits(stored, *waits);
  } else {
    stored.damage("id");
  }
  return stored.finish(std::move(task));
}

std::string artifact_key_name(int run, std::string_view name) { return fmt::format("{}/{}", run, name); }
std::string member_key_name(std::uint64_t task_sequence) { return fmt::format("{:016x}", task_sequence); }

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
  add_text(out, "token", allocation.token);
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
  allocation.token = stored.text("token");
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

namespace {

constexpr std::string_view work_names[] = {"link", "release",    "cancel-group", "prioritize-group",
                                           "pull", "group-pulls"};

std::optional<Work::Kind> parse_work_kind(std::string_view text) {
  auto found = std::ranges::find(work_names, text);
  if (found == std::end(work_names)) return std::nullopt;
  return static_cast<Work::Kind>(found - std::begin(work_names));
}

}  // namespace

std::string encode(const Group& group) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  add_slug(out, "id", group.id);
  out.field("sequence", static_cast<std::int64_t>(group.sequence)).field("scheduler", group.scheduler);
  out.field("tasks", group.tasks);
  add_time(out, "created", group.created);
  add_time(out, "expires", group.expires);
  add_time(out, "sealed", group.sealed);
  if (group.pulls) out.field("pulls", true);
  out.end_object();
  return bytes;
}

template <>
Result<Group> decode<Group>(const Key&, std::string_view bytes) {
  Stored stored("task group", bytes);
  Group group;
  group.id = stored.slug<TaskTag>("id");
  group.sequence = static_cast<std::uint64_t>(stored.number("sequence", 0));
  group.scheduler = stored.text("scheduler");
  group.tasks = stored.number("tasks", 0);
  group.created = stored.time("created");
  group.expires = stored.time("expires");
  group.sealed = stored.time("sealed");
  group.pulls = stored.flag("pulls", false);
  return stored.finish(std::move(group));
}

std::string encode(const Work& work) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  out.field("kind", work_names[static_cast<std::size_t>(work.kind)]);
  add_slug(out, "task", work.task);
  out.field("position", static_cast<std::int64_t>(work.position));
  if (work.through) out.field("through", static_cast<std::int64_t>(work.through));
  if (work.completed) out.field("completed", true);
  if (!work.links.empty()) {
    out.key("links").begin_array();
    for (std::uint64_t link : work.links) out.number(static_cast<std::int64_t>(link));
    out.end_array();
  }
  out.field("priority", name_of(work.priority));
  add_time(out, "created", work.created);
  out.end_object();
  return bytes;
}

template <>
Result<Work> decode<Work>(const Key& key, std::string_view bytes) {
  Stored stored("piece of work", bytes);
  Work work;
  work.id = key.sequence;
  work.kind = stored.word("kind", parse_work_kind);
  work.task = stored.slug<TaskTag>("task");
  work.position = static_cast<std::uint64_t>(stored.number("position", 0));
  work.through = static_cast<std::uint64_t>(stored.number("through", 0));
  work.completed = stored.flag("completed", false);
  const json::value* links = stored.find("links");
  const json::array* array = links ? links->if_array() : nullptr;
  if (links && !array) stored.damage("links");
  for (std::size_t i = 0; array && i < array->size(); ++i) {
    boost::system::error_code error;
    work.links.push_back(static_cast<std::uint64_t>((*array)[i].to_number<std::int64_t>(error)));
    if (error) stored.damage("links");
  }
  work.priority = stored.word("priority", wire::parse_priority);
  work.created = stored.time("created");
  return stored.finish(std::move(work));
}

}  // namespace gantry::state
