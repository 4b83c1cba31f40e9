// The live state: typed tables and the indexes that decisions need. All unresolved tasks, their allocations and all
// nodes are here; of resolved tasks only a bounded recent set (design 3.3). Only a Transaction changes it.
//
// Invariants (checked by state_test.cc and the simulator): the indexes say exactly what the tables say; there is one
// allocation for each running run and no other.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "base/error.h"
#include "core/state/ordered_set.h"
#include "core/state/record_list.h"
#include "core/state/records.h"

namespace gantry::state {

/// How many tasks are remembered of a worker.
inline constexpr std::size_t recent_tasks_max = 20;

/// What a worker did since its record was written (queue/worker.h). Not stored, not undone.
struct WorkerActivity {
  std::vector<Worker::RecentTask> recent;  // oldest first, at most recent_tasks_max
  Time last_active;
};

/// Position in a queue's line: highest priority first, then the oldest task.
struct PendingKey {
  std::uint8_t rank;  // 0 is the highest priority
  std::uint64_t sequence;
  TaskId task;
  friend auto operator<=>(const PendingKey&, const PendingKey&) = default;
};
/// Where a pending task stands.
PendingKey pending_key(const Task& task);

class State {
 public:
  using PendingLine = OrderedSet<PendingKey>;
  using TimeIndex = OrderedSet<std::pair<Time, TaskId>>;
  /// Tasks in the order of their creation.
  using TaskLine = OrderedSet<std::pair<std::uint64_t, TaskId>>;
  using ArtifactNames = std::set<std::pair<int, std::string>>;

  template <class Record>
  const Table<Record>& table() const {
    return std::get<Table<Record>>(tables_);
  }

  /// The line of one queue; empty if it has none.
  const PendingLine& pending(const std::string& task_queue) const;
  const std::map<std::string, PendingLine>& pending_lines() const { return pending_; }
  /// Unresolved tasks by deadline.
  const TimeIndex& deadlines() const { return deadlines_; }
  /// Running tasks by the end of their claim.
  const TimeIndex& claims() const { return claims_; }
  /// Artifacts of a task that are in memory, by run and name.
  const ArtifactNames& artifacts_of(TaskId task) const;
  const std::set<AllocationId>& allocations_on(NodeId node) const;
  /// Unscheduled tasks that wait for this one, by sequence. Whether this one is known does not matter.
  const TaskLine& dependents_of(TaskId task) const;
  /// Unresolved tasks of a group, by sequence, without the one whose id the group has.
  const TaskLine& open_in_group(TaskGroupId group) const;
  /// Runs that a worker ("<workerGroup>/<workerId>") got by a claim with this token and still has.
  const std::set<AllocationId>& allocations_by(const std::string& worker, const std::string& token) const;
  /// Ids of all stored work.
  const OrderedSet<std::uint64_t>& works() const { return works_; }
  /// nullptr if there is none since its record was written.
  const WorkerActivity* activity(const Worker::Id& worker) const;
  /// The native node that this worker is, or an empty id.
  NodeId node_of_worker(const std::string& worker_group, const std::string& worker_id) const;
  /// True if some native node claims from this queue.
  bool is_native_queue(const std::string& task_queue) const { return native_queues_.contains(task_queue); }

  /// How often a task that waits in line has got another place in it.
  std::uint64_t moves_in_line() const { return moves_in_line_; }

  std::uint64_t last_commit() const { return last_commit_; }
  std::uint64_t last_sequence() const { return last_sequence_; }
  /// Number of the newest event in the outbox.
  std::uint64_t last_event() const { return last_event_; }
  /// Time of the last transaction; the next one is not earlier.
  Time last_time() const { return last_time_; }

  // Loading, by the server: at start, and for cold records. Replaces nothing that is there.

  void load(Task task);
  void load(Artifact artifact);
  void load(Allocation allocation);
  void load(Node node);
  template <PlainRecord Record>
  void load(Record record) {
    typename Record::Id id = record.key();
    if (!table<Record>().find(id)) set<Record>(id, Row<Record>{std::move(record), 0});
  }
  void load_clock(std::uint64_t last_commit, std::uint64_t last_sequence, std::uint64_t last_event, Time last_time);
  /// The artifacts of this task are in memory, all of them (they may be none).
  void mark_artifacts_loaded(TaskId task) { artifacts_loaded_.insert(task); }
  bool artifacts_loaded(TaskId task) const { return artifacts_loaded_.contains(task); }

  /// Forgets the oldest resolved tasks beyond `keep`, with their artifacts, as far as they are durable.
  void forget_resolved(std::size_t keep, std::uint64_t durable_commit);
  /// The same for cold records of every kind, `keep` of each.
  void forget_cold(std::size_t keep, std::uint64_t durable_commit);
  std::size_t resolved_in_memory() const { return resolved_.size(); }

 private:
  friend class Transaction;

  template <class Record>
  Table<Record>& mutable_table() {
    return std::get<Table<Record>>(tables_);
  }
  /// The one door for every change: keeps table and indexes together.
  template <class Record>
  void set(const typename Record::Id& id, std::optional<Row<Record>> row);
  /// Changes one record in place and returns what it was; `mutate` must not change its id.
  template <class Record, class Mutate>
  Row<Record> modify(const typename Record::Id& id, std::uint64_t version, Mutate mutate);

  void reindex(const Task* before, const Task* after);
  void reindex(const Artifact* before, const Artifact* after);
  void reindex(const Allocation* before, const Allocation* after);
  void reindex(const Node* before, const Node* after);
  void reindex(const Work* before, const Work* after);
  void reindex(const Worker* before, const Worker* after);
  template <PlainRecord Record>
  void reindex(const Record* before, const Record* after) {
    if constexpr (ColdRecord<Record>) {
      if (!before && after) mutable_table<Record>().arrivals_.push_back(after->key());
    }
  }
  void reindex_waits(const Task* before, const Task* after);
  void index_pending(const Task& task, bool add);
  void count_native_queue(const std::string& task_queue, int by);

  AllRecords::Tables tables_;
  std::map<std::string, PendingLine> pending_;
  TimeIndex deadlines_;
  TimeIndex claims_;
  boost::unordered_flat_map<TaskId, ArtifactNames> artifacts_of_;
  boost::unordered_flat_map<NodeId, std::set<AllocationId>> allocations_on_;
  boost::unordered_flat_map<TaskId, TaskLine> dependents_;
  boost::unordered_flat_map<TaskGroupId, TaskLine> open_in_group_;
  std::map<std::pair<std::string, std::string>, std::set<AllocationId>> allocations_by_token_;
  OrderedSet<std::uint64_t> works_;
  boost::unordered_flat_map<Worker::Id, WorkerActivity> activity_;
  std::map<std::string, int> native_queues_;
  std::map<std::pair<std::string, std::string>, NodeId> workers_;
  boost::unordered_flat_set<TaskId> artifacts_loaded_;
  std::deque<TaskId> resolved_;  // oldest first; an id may be there twice, or stand for a task that runs again
  std::uint64_t moves_in_line_ = 0;
  std::uint64_t last_commit_ = 0;
  std::uint64_t last_sequence_ = 0;
  std::uint64_t last_event_ = 0;
  Time last_time_;
};

template <class Record>
void State::set(const typename Record::Id& id, std::optional<Row<Record>> row) {
  Table<Record>& table = mutable_table<Record>();
  const Row<Record>* before = table.find(id);
  reindex(before ? &before->record : nullptr, row ? &row->record : nullptr);
  table.set(id, std::move(row));
}

template <class Record, class Mutate>
Row<Record> State::modify(const typename Record::Id& id, std::uint64_t version, Mutate mutate) {
  Table<Record>& table = mutable_table<Record>();
  Row<Record>* row = table.mutable_row(id);
  GANTRY_ASSERT(row);
  Row<Record> before = *row;
  mutate(row->record);
  reindex(&before.record, &row->record);
  row->version = version;
  table.note_version(version);
  return before;
}

}  // namespace gantry::state
