// What stands beside the queue: workers and task queues as people look at them, the index, purged caches.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/state/write.h"

namespace gantry::state {

/// What one worker was last seen doing. Written now and then, except for its quarantine, which is written at once.
struct Worker {
  using Id = std::string;
  static constexpr TableId table_id = TableId::worker;
  static constexpr bool cold = false;

  struct RecentTask {
    TaskId task;
    int run = 0;
  };
  /// Who changed the quarantine, when and why.
  struct QuarantineChange {
    std::string client_id;
    Time at;
    Time until;
    std::string info;
  };

  std::string task_queue;
  std::string group;
  std::string worker_id;
  std::vector<RecentTask> recent;  // oldest first
  Time first_claim;
  Time last_active;
  Time expires;
  Time quarantine_until;                             // epoch: never quarantined
  std::vector<QuarantineChange> quarantine_changes;  // oldest first

  Id key() const { return make_id(task_queue, group, worker_id); }
  static Id make_id(const std::string& task_queue, const std::string& group, const std::string& worker_id) {
    return task_queue + "/" + group + "/" + worker_id;
  }
  static Key store_key(const Id& id) { return {0, id}; }
};

struct TaskQueue {
  using Id = std::string;
  static constexpr TableId table_id = TableId::task_queue;
  static constexpr bool cold = false;

  std::string id;
  std::string description;
  std::string stability = "experimental";
  Time last_active;
  Time expires;

  const Id& key() const { return id; }
  static Key store_key(const Id& id) { return {0, id}; }
};

/// "a.b.c" as the store orders it: "a.b/c". Names have no slash.
std::string index_key_of(const std::string& path);
std::string index_path_of(const std::string& key);

/// The task that is found at a path of the index.
struct IndexedTask {
  using Id = std::string;
  static constexpr TableId table_id = TableId::index_task;
  static constexpr bool cold = true;

  std::string path;  // names joined by dots
  TaskId task;
  double rank = 0;
  std::string data;  // canonical JSON object
  Time expires;

  const Id& key() const { return path; }
  /// Tasks that stand directly in one namespace are neighbours in the store.
  static Key store_key(const Id& path) { return {0, index_key_of(path)}; }
};

/// A namespace that has, or had, tasks below it.
struct IndexNamespace {
  using Id = std::string;
  static constexpr TableId table_id = TableId::index_namespace;
  static constexpr bool cold = true;

  std::string path;
  Time expires;  // not before anything below it

  const Id& key() const { return path; }
  static Key store_key(const Id& path) { return {0, index_key_of(path)}; }
};

/// What was uploaded, or is being uploaded, through the object service.
struct StoredObject {
  using Id = std::string;
  static constexpr TableId table_id = TableId::object;
  static constexpr bool cold = true;

  std::string name;
  std::string project;
  std::string upload_id;
  std::string content_type;
  std::int64_t bytes = -1;  // announced, then received; -1: neither
  bool received = false;    // its bytes are stored
  bool finished = false;    // it may be read, and never changes again
  std::string sha256;       // of the bytes received, hex
  std::string sha512;
  std::string claimed_sha256;  // what its uploader says they are; empty: nothing
  std::string claimed_sha512;
  Time started;
  Time expires;

  const Id& key() const { return name; }
  static Key store_key(const Id& name) { return {0, name}; }
};

/// Caches of this name that are older than `before` must not be used any more.
struct PurgeRequest {
  using Id = std::string;
  static constexpr TableId table_id = TableId::purge_request;
  static constexpr bool cold = false;

  std::string task_queue;
  std::string cache;
  Time before;
  Time expires;

  Id key() const { return make_id(task_queue, cache); }
  static Id make_id(const std::string& task_queue, const std::string& cache) { return task_queue + "/" + cache; }
  static Key store_key(const Id& id) { return {0, id}; }
};

}  // namespace gantry::state
