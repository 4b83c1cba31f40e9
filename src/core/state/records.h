// The records of the state. Each has one place that changes it (queue/ changes tasks, runs, artifacts and allocations;
// grid/ changes nodes); each is stored as one small JSON value (codec.h).
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "wire/node_messages.h"
#include "wire/queue_types.h"
#include "wire/task_definition.h"

namespace gantry::state {

using wire::Priority;
using wire::ReasonCreated;
using wire::ReasonResolved;
using wire::StorageType;
using wire::TaskState;

/// How a run's container ended, as the agent saw it (design 3.12). Kept beside what Taskcluster knows of a run.
using ExitReport = wire::ContainerEnd;

/// One attempt at a task. Its index in Task::runs is its runId.
struct Run {
  TaskState state = TaskState::pending;  // never unscheduled
  ReasonCreated reason_created = ReasonCreated::scheduled;
  ReasonResolved reason_resolved = ReasonResolved::none;
  std::string worker_group;  // empty until claimed
  std::string worker_id;
  Time taken_until;  // while running
  Time scheduled;
  Time started;   // epoch: not started
  Time resolved;  // epoch: not resolved
  ExitReport exit;
};

/// What changes about a task. Its definition is a body of its own, under the same record sequence.
struct Task {
  using Id = TaskId;

  TaskId id;
  std::uint64_t sequence = 0;  // key in the store, order of creation
  std::string task_queue;
  std::string scheduler;
  std::string project;
  TaskGroupId group;
  Priority priority = Priority::lowest;
  int retries = 0;
  int retries_left = 0;
  Time created;  // when the queue accepted it
  Time deadline;
  Time expires;
  std::int64_t memory_bytes = 0;  // what a run reserves on a native node
  double cpus = 0;
  wire::DefinitionDigest digest{};
  std::vector<Run> runs;
  std::string unknown_fields;  // members that this build does not know, as ",\"key\":value"; kept when rewritten

  TaskState state() const { return runs.empty() ? TaskState::unscheduled : runs.back().state; }
  bool resolved() const { return wire::is_resolved(state()); }
  Id key() const { return id; }
};

struct ArtifactId {
  TaskId task;
  int run = 0;
  std::string name;
  friend bool operator==(const ArtifactId&, const ArtifactId&) = default;
  friend std::size_t hash_value(const ArtifactId& id) {
    std::size_t seed = id.task.hash() + static_cast<std::size_t>(id.run);
    boost::hash_combine(seed, id.name);
    return seed;
  }
};

struct Artifact {
  using Id = ArtifactId;

  ArtifactId id;
  std::uint64_t task_sequence = 0;
  StorageType type = StorageType::s3;
  std::string content_type;
  std::int64_t content_bytes = -1;  // -1: not told
  Time expires;
  std::string target;   // reference: the url; link: the artifact's name
  std::string reason;   // error
  std::string message;  // error
  bool present = true;  // object storage: false until the upload is finished

  const Id& key() const { return id; }
};

struct AllocationId {
  TaskId task;
  int run = 0;
  friend bool operator==(const AllocationId&, const AllocationId&) = default;
  friend auto operator<=>(const AllocationId&, const AllocationId&) = default;
  friend std::size_t hash_value(const AllocationId& id) { return id.task.hash() + static_cast<std::size_t>(id.run); }
};

/// A run's reservation on the worker that claimed it; there is one for every running run and no other.
struct Allocation {
  using Id = AllocationId;

  AllocationId id;
  std::uint64_t task_sequence = 0;
  NodeId node;         // empty for a foreign worker
  std::string worker;  // "<workerGroup>/<workerId>"
  std::int64_t memory_bytes = 0;
  double cpus = 0;

  const Id& key() const { return id; }
};

/// A machine with a native agent.
struct Node {
  using Id = NodeId;

  NodeId id;
  std::string name;
  std::string task_queue;  // whose tasks it claims
  std::string worker_group;
  std::string worker_id;
  int slots = 0;  // tasks at once
  std::int64_t memory_bytes = 0;
  double cpus = 0;
  std::string version;
  Time registered;

  const Id& key() const { return id; }
};

}  // namespace gantry::state
