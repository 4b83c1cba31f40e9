// The records of the state. Each has one place that changes it (queue/ changes tasks, runs, artifacts and allocations;
// grid/ changes nodes); each is stored as one small JSON value (codec.h).
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/shared_text.h"
#include "base/time.h"
#include "core/state/write.h"
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

/// How many runs a task may have; a rerun beyond that is refused, and retries end there.
inline constexpr int runs_max = 50;

/// One attempt at a task. Its index in Task::runs is its runId.
struct Run {
  TaskState state = TaskState::pending;  // never unscheduled
  ReasonCreated reason_created = ReasonCreated::scheduled;
  ReasonResolved reason_resolved = ReasonResolved::none;
  SharedText worker_group;  // empty until claimed
  SharedText worker_id;
  Time taken_until;  // end of its last claim, kept once it is resolved; epoch: never claimed
  Time scheduled;
  Time started;                            // epoch: not started
  Time resolved;                           // epoch: not resolved
  std::shared_ptr<const ExitReport> exit;  // null: not known
};

/// What an unscheduled task waits for; one that is not unscheduled has none. Shared between the versions of its record:
/// never changed, only replaced.
struct Waits {
  std::shared_ptr<const std::vector<TaskId>> on;  // the definition's dependencies, in its order
  std::vector<std::uint64_t> met;                 // one bit for each of `on`
  std::uint32_t left = 0;                         // how many bits are not set
  bool any_outcome = false;                       // all-resolved: a failed dependency is as good as a completed one
  bool until_scheduled = false;                   // waits for somebody to schedule it, too

  bool is_met(std::size_t index) const { return met[index / 64] >> (index % 64) & 1; }
};

/// What events say of a task besides its status.
struct TaskLabels {
  std::vector<std::string> routes;
  std::string tags;  // canonical JSON object; empty: {}
};

/// What changes about a task. Its definition is a body of its own, under the same record sequence.
struct Task {
  using Id = TaskId;

  TaskId id;
  std::uint64_t sequence = 0;  // key in the store, order of creation
  SharedText task_queue;
  SharedText scheduler;
  SharedText project;
  TaskGroupId group;
  Priority priority = Priority::lowest;
  Priority pulled = Priority::lowest;  // of those that wait for it, if their group has them pull
  bool pulls = false;                  // as its group says: what it waits for gets its priority
  int retries = 0;
  int retries_left = 0;
  Time created;  // when the queue accepted it
  Time deadline;
  Time expires;
  std::int64_t memory_bytes = 0;  // what a run reserves on a native node
  double cpus = 0;
  wire::DefinitionDigest digest{};
  std::vector<Run> runs;
  std::shared_ptr<const Waits> waits;        // null: it waits for no task (any more)
  std::shared_ptr<const TaskLabels> labels;  // null: neither routes nor tags
  SharedText unknown_fields;  // members that this build does not know, as ",\"key\":value"; kept when rewritten

  TaskState state() const { return runs.empty() ? TaskState::unscheduled : runs.back().state; }
  bool resolved() const { return wire::is_resolved(state()); }
  /// Where it stands in line.
  Priority effective_priority() const { return std::max(priority, pulled); }
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
  std::string target;   // reference: the url; link: the artifact's name; object: the uploadId
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
  std::string token{};  // of the claim, if it had one

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

/// A task group of more than its first task, or that was sealed. A task whose group has its own id, and no other
/// member, needs none.
struct Group {
  using Id = TaskGroupId;
  static constexpr TableId table_id = TableId::group;
  static constexpr bool cold = true;

  TaskGroupId id;
  std::uint64_t sequence = 0;  // key of its members
  std::string scheduler;
  Time created;
  Time expires;        // of its last task
  Time sealed;         // epoch: not sealed
  bool pulls = false;  // tasks pull what they wait for to their own priority
  std::int64_t tasks = 0;

  const Id& key() const { return id; }
  static Key store_key(const Id& id) { return {0, id.to_string()}; }
};

/// Work that is too large for one transaction: a cursor that steps continue from (design 3.5).
struct Work {
  using Id = std::uint64_t;
  static constexpr TableId table_id = TableId::work;
  static constexpr bool cold = false;
  enum class Kind {
    link,              // record that `task` depends on the tasks with the sequences `links`
    release,           // tell the dependents of `task` after `position` that it was resolved
    cancel_group,      // cancel the tasks of group `task` that stand after `position`
    prioritize_group,  // give them `priority`
    pull,              // what `task` waits for, from the dependency `position` on, gets at least `priority`
    group_pulls,       // tasks of group `task` after `position` get their group's Group::pulls, as `completed` says
  };

  Id id = 0;  // the lowest is next; a step that does not finish it gives it a new one
  Kind kind = Kind::link;
  TaskId task;
  std::uint64_t position = 0;  // where to go on: a sequence, or an index of dependencies
  std::uint64_t through = 0;   // tasks with a higher sequence came later and are none of its business
  bool completed = false;      // release: the task's outcome; group_pulls: the new value
  Priority priority = Priority::lowest;
  std::vector<std::uint64_t> links;  // link: see there; prioritize_group: the sequences of tasks that it leaves alone
  Time created;

  const Id& key() const { return id; }
  static Key store_key(Id id) { return {id, {}}; }
};

}  // namespace gantry::state
