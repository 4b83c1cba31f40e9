// A scripted client: creates tasks in bursts, alone or as groups that depend on each other, and looks after each of
// them: reads it, repeats its creation, tries to overwrite it, schedules it, gives it another priority, cancels it,
// runs it again, comes back long after it was resolved; and after each group: seals it, cancels it, changes all of it.
//
// What is read is in user_reads.cc, what is done to a task in user_changes.cc, to a group in user_groups.cc.
#pragma once

#include "sim/api_client.h"
#include "sim/task_plan.h"

namespace gantry::sim {

class User {
 public:
  User(ClientWorld& world, std::string name, std::vector<std::string> task_queues);

  void start() { scope_.spawn("submissions", submit()); }
  /// Reads every task and every group once more.
  Async<> read_all();
  void stop() { scope_.cancel(); }
  Scope& scope() { return scope_; }
  ApiClient& api() { return api_; }
  SimEnv& env() { return env_; }

 private:
  /// How the tasks of a group depend on each other.
  enum class Shape { chain, fan_out, fan_in, any, large };

  Async<> submit();
  Async<> look_after(TaskId id);
  Async<bool> create(TaskId id);
  Async<> act(TaskId id);
  Async<> look_around();

  TaskPlan plan_task(const std::string& task_queue);
  /// The oracle learns of it, and its definition is kept.
  void note_plan(TaskId id, const TaskPlan& plan, bool defined_only);
  TaskId plan_single();
  void add_earlier_dependency(TaskPlan& plan);
  /// One of those that are known to exist; empty if there is none.
  TaskId earlier_task();

  Async<> read_status(TaskId id);
  Async<> read_definition(TaskId id);
  Async<> read_natively(TaskId id);
  Async<> read_artifacts(TaskId id);
  Async<> read_log(TaskId id);
  Async<> read_dependents(TaskId id);
  Async<> read_group(TaskGroupId id);
  Async<> list_group(TaskGroupId id);
  Async<> read_last(TaskId id);

  Async<> create_again(TaskId id);
  Async<> overwrite(TaskId id);
  Async<> schedule(TaskId id);
  Async<> change_priority(TaskId id);
  Async<> cancel(TaskId id);
  Async<> rerun(TaskId id);
  /// The status that an answer has, once the oracle has seen it; nothing if it has none.
  std::optional<SeenTask> status_in(const Answer& answer);
  void check_refusal(const Answer& answer, TaskId id, std::string_view what);

  Async<> submit_group();
  void plan_members(Shape shape, TaskGroupId group, std::vector<TaskId>& ids);
  Async<> create_too_early(TaskId id);
  Async<> look_after_group(TaskGroupId id);
  Async<> act_on_group(TaskGroupId id);
  Async<> seal(TaskGroupId id);
  Async<> cancel_group(TaskGroupId id);
  Async<> change_group_priority(TaskGroupId id);
  Async<> set_pulls(TaskGroupId id);
  Async<> join_late(TaskGroupId id);

  std::int64_t now_us() { return env_.uptime_us(); }
  Duration time_left();

  ClientWorld& world_;
  std::vector<std::string> task_queues_;
  SimEnv env_;
  ApiClient api_;
  std::map<TaskId, std::string> bodies_;
  std::vector<TaskId> created_;  // acknowledged
  std::vector<TaskGroupId> groups_;
  bool large_done_ = false;
  Scope scope_;
};

inline std::string task_path(TaskId id) { return "/api/queue/v1/task/" + id.to_string(); }
inline std::string group_path(TaskGroupId id) { return "/api/queue/v1/task-group/" + id.to_string(); }
/// Client's and server's wall clocks differ by at most so much.
inline constexpr Duration clocks_differ_max = minutes(4);

}  // namespace gantry::sim
