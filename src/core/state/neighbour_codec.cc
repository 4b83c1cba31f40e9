#include "core/state/codec.h"
#include "core/state/stored.h"

namespace gantry::state {
namespace {

void add_recent(JsonWriter& out, const Worker& worker) {
  if (worker.recent.empty()) return;
  out.key("recent").begin_array();
  for (const auto& task : worker.recent) {
    out.begin_object();
    add_slug(out, "task", task.task);
    out.field("run", task.run).end_object();
  }
  out.end_array();
}

void add_quarantine(JsonWriter& out, const Worker& worker) {
  if (worker.quarantine_changes.empty()) return;
  out.key("quarantine").begin_array();
  for (const auto& change : worker.quarantine_changes) {
    out.begin_object().field("client", change.client_id);
    add_time(out, "at", change.at);
    add_time(out, "until", change.until);
    add_text(out, "info", change.info);
    out.end_object();
  }
  out.end_array();
}

/// Calls `read` with each element of an array in place.
template <class Read>
void each(Stored& stored, const json::value* value, Read read) {
  const json::array* array = value ? value->if_array() : nullptr;
  if (value && !array) stored.damage("an array");
  for (std::size_t i = 0; array && i < array->size(); ++i) {
    stored.use((*array)[i]);
    read();
  }
}

}  // namespace

std::string index_key_of(const std::string& path) {
  std::size_t dot = path.rfind('.');
  if (dot == std::string::npos) return "/" + path;
  return path.substr(0, dot) + "/" + path.substr(dot + 1);
}

std::string index_path_of(const std::string& key) {
  std::size_t slash = key.find('/');
  if (slash == 0 || slash == std::string::npos) return slash == 0 ? key.substr(1) : key;
  return key.substr(0, slash) + "." + key.substr(slash + 1);
}

std::string encode(const Worker& worker) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version).field("queue", worker.task_queue);
  out.field("group", worker.group).field("id", worker.worker_id);
  add_time(out, "firstClaim", worker.first_claim);
  add_time(out, "lastActive", worker.last_active);
  add_time(out, "expires", worker.expires);
  add_time(out, "quarantineUntil", worker.quarantine_until);
  add_recent(out, worker);
  add_quarantine(out, worker);
  out.end_object();
  return bytes;
}

template <>
Result<Worker> decode<Worker>(const Key&, std::string_view bytes) {
  Stored stored("worker", bytes);
  Worker worker;
  worker.task_queue = stored.text("queue");
  worker.group = stored.text("group");
  worker.worker_id = stored.text("id");
  worker.first_claim = stored.time("firstClaim");
  worker.last_active = stored.time("lastActive");
  worker.expires = stored.time("expires");
  worker.quarantine_until = stored.time("quarantineUntil");
  const json::value* recent = stored.find("recent");
  const json::value* quarantine = stored.find("quarantine");
  each(stored, recent, [&] { worker.recent.push_back({stored.slug<TaskTag>("task"), stored.integer("run", 0)}); });
  each(stored, quarantine, [&] {
    worker.quarantine_changes.push_back({std::string(stored.text("client")), stored.time("at"), stored.time("until"),
                                         std::string(stored.text("info"))});
  });
  return stored.finish(std::move(worker));
}

std::string encode(const TaskQueue& queue) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version).field("stability", queue.stability);
  add_text(out, "description", queue.description);
  add_time(out, "lastActive", queue.last_active);
  add_time(out, "expires", queue.expires);
  out.end_object();
  return bytes;
}

template <>
Result<TaskQueue> decode<TaskQueue>(const Key& key, std::string_view bytes) {
  Stored stored("task queue", bytes);
  TaskQueue queue;
  queue.id = key.name;
  queue.stability = stored.text("stability");
  queue.description = stored.text("description");
  queue.last_active = stored.time("lastActive");
  queue.expires = stored.time("expires");
  return stored.finish(std::move(queue));
}

std::string encode(const IndexedTask& indexed) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  add_slug(out, "task", indexed.task);
  out.field("rank", indexed.rank);
  add_time(out, "expires", indexed.expires);
  if (!indexed.data.empty()) out.key("data").raw(indexed.data);
  out.end_object();
  return bytes;
}

template <>
Result<IndexedTask> decode<IndexedTask>(const Key& key, std::string_view bytes) {
  Stored stored("indexed task", bytes);
  IndexedTask indexed;
  indexed.path = index_path_of(key.name);
  indexed.task = stored.slug<TaskTag>("task");
  indexed.rank = stored.real("rank");
  indexed.expires = stored.time("expires");
  if (const json::value* data = stored.find("data")) append_canonical_json(indexed.data, *data);
  return stored.finish(std::move(indexed));
}

std::string encode(const IndexNamespace& space) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version);
  add_time(out, "expires", space.expires);
  out.end_object();
  return bytes;
}

template <>
Result<IndexNamespace> decode<IndexNamespace>(const Key& key, std::string_view bytes) {
  Stored stored("index namespace", bytes);
  IndexNamespace space;
  space.path = index_path_of(key.name);
  space.expires = stored.time("expires");
  return stored.finish(std::move(space));
}

std::string encode(const StoredObject& object) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version).field("project", object.project);
  add_text(out, "uploadId", object.upload_id);
  add_text(out, "contentType", object.content_type);
  out.field("bytes", object.bytes);
  if (object.received) out.field("received", true);
  if (object.finished) out.field("finished", true);
  add_text(out, "sha256", object.sha256);
  add_text(out, "sha512", object.sha512);
  add_text(out, "claimedSha256", object.claimed_sha256);
  add_text(out, "claimedSha512", object.claimed_sha512);
  add_time(out, "started", object.started);
  add_time(out, "expires", object.expires);
  out.end_object();
  return bytes;
}

template <>
Result<StoredObject> decode<StoredObject>(const Key& key, std::string_view bytes) {
  Stored stored("object", bytes);
  StoredObject object;
  object.name = key.name;
  object.project = stored.text("project");
  object.upload_id = stored.text("uploadId");
  object.content_type = stored.text("contentType");
  object.bytes = stored.number("bytes", -1);
  object.received = stored.flag("received", false);
  object.finished = stored.flag("finished", false);
  object.sha256 = stored.text("sha256");
  object.sha512 = stored.text("sha512");
  object.claimed_sha256 = stored.text("claimedSha256");
  object.claimed_sha512 = stored.text("claimedSha512");
  object.started = stored.time("started");
  object.expires = stored.time("expires");
  return stored.finish(std::move(object));
}

std::string encode(const PurgeRequest& request) {
  std::string bytes;
  JsonWriter out(bytes);
  out.begin_object().field("v", record_version).field("queue", request.task_queue).field("cache", request.cache);
  add_time(out, "before", request.before);
  add_time(out, "expires", request.expires);
  out.end_object();
  return bytes;
}

template <>
Result<PurgeRequest> decode<PurgeRequest>(const Key&, std::string_view bytes) {
  Stored stored("purge request", bytes);
  PurgeRequest request;
  request.task_queue = stored.text("queue");
  request.cache = stored.text("cache");
  request.before = stored.time("before");
  request.expires = stored.time("expires");
  return stored.finish(std::move(request));
}

}  // namespace gantry::state
