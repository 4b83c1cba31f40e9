// What the clients of a simulation know for certain, and the rules that nothing may contradict, now or after any crash:
// what was acknowledged stays, a resolved run never changes, retries are counted right, and every run and every outcome
// has a cause.
//
// It learns from answers and from what the server's state holds durably; it checks both, and the disk, against what it
// has learned before.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "core/state/records.h"
#include "sim/wishes.h"

namespace gantry::sim {

struct SeenRun {
  wire::TaskState state;
  wire::ReasonCreated created;
  wire::ReasonResolved reason;
  std::string worker;  // "<group>/<id>", or empty
  Time taken_until;
  Time scheduled;
  Time resolved;
};

/// A task's status, from wherever it was read.
struct SeenTask {
  TaskId id;
  int retries_left = 0;
  wire::Priority priority;
  Time deadline;
  std::vector<SeenRun> runs;
};

SeenTask seen_of(const state::Task& task);
/// From the `status` member of an answer; throws if it is not one.
SeenTask seen_of(const json::value& status);

struct RunFact {
  wire::TaskState state;
  wire::ReasonResolved reason;
  Time resolved;
  std::int64_t known_us;  // since when
};

struct ArtifactFact {
  wire::StorageType type;
  std::string target;
  Time expires;
};

/// A task that some client has meant to create.
struct TaskFacts {
  TaskId id;
  wire::TaskDefinition definition;
  std::int64_t created_us = -1;  // since when it is known to exist; -1: it may or may not
  std::map<int, RunFact> resolved_runs;
  std::vector<SeenRun> runs;       // as they were seen last
  std::int64_t runs_known_us = 0;  // since when that many are known
  bool resolved = false;           // until somebody asks for another run
  std::int64_t resolved_us = 0;    // since when that is known
  bool cancel_asked = false;
  bool defined_only = false;  // whatever it depends on, somebody has to schedule it
  bool schedule_asked = false;
  std::int64_t rerun_asked_us = -1;  // the last time; -1: never
  Wishes<wire::Priority> priority;
  std::set<std::pair<int, wire::ReasonResolved>> reports_asked;
  std::map<int, std::string> received_by;  // which worker has received the claim of a run
  std::map<std::pair<int, std::string>, ArtifactFact> artifacts;
};

inline constexpr std::size_t reason_count = static_cast<std::size_t>(wire::ReasonResolved::intermittent_task) + 1;

/// What a finished simulation did, for the summary.
struct TaskCounts {
  std::uint64_t created = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t exception = 0;
  /// Runs by how they ended; indexed by ReasonResolved.
  std::array<std::uint64_t, reason_count> runs{};
};

class Oracle {
 public:
  using Fail = std::function<void(std::string)>;
  explicit Oracle(Fail fail) : fail_(std::move(fail)) {}

  // What clients are about to ask for, told before the request leaves.

  TaskFacts& plan(TaskId id, wire::TaskDefinition definition, bool defined_only = false);
  void cancel_asked(TaskId id);
  void schedule_asked(TaskId id);
  void rerun_asked(TaskId id, std::int64_t now_us);
  void report_asked(wire::RunRef run, wire::ReasonResolved reason);

  // What they have heard. `sent_us` is when the request left: facts that are older must show.
  void saw_task(const SeenTask& task, std::int64_t sent_us, std::int64_t now_us, std::string_view where);
  void saw_no_task(TaskId id, std::int64_t sent_us, std::string_view where);
  /// `again`: the worker may have received it before, as it has asked with the same token.
  void received_claim(wire::RunRef run, const std::string& worker, bool again);
  void created_artifact(wire::RunRef run, const std::string& name, ArtifactFact artifact);

  TaskFacts* find(TaskId id);
  const TaskFacts* find(TaskId id) const { return const_cast<Oracle*>(this)->find(id); }
  const std::map<TaskId, TaskFacts>& tasks() const { return tasks_; }
  /// Tasks that are known to exist and not known to be resolved for good.
  const std::set<TaskId>& open() const { return open_; }
  /// Tasks whose definitions name this one as a dependency.
  const std::vector<TaskId>& dependents(TaskId id) const;
  TaskCounts counts() const;

 private:
  void check_retries(const TaskFacts& facts, const SeenTask& task, std::string_view where);
  void check_run(TaskFacts& facts, const SeenTask& task, int run, std::int64_t now_us, std::string_view where);
  void check_cause(const TaskFacts& facts, int run, const SeenRun& seen, std::string_view where);
  void check_origin(const TaskFacts& facts, const SeenTask& task, std::size_t run, std::string_view where);
  void check_lost(const TaskFacts& facts, const SeenTask& task, std::int64_t sent_us, std::string_view where);
  void learn_end(TaskFacts& facts, const SeenTask& task, std::int64_t sent_us, std::int64_t now_us,
                 std::string_view where);
  void fail(std::string_view where, TaskId id, std::string_view what);

  Fail fail_;
  std::map<TaskId, TaskFacts> tasks_;
  std::unordered_map<TaskId, TaskFacts*> by_id_;
  std::unordered_map<TaskId, std::vector<TaskId>> dependents_;
  std::set<TaskId> open_;
};

}  // namespace gantry::sim
