// A scripted client: creates tasks in bursts and looks after each of them: reads it, repeats its creation, tries to
// overwrite it, cancels it, comes back long after it was resolved.
#pragma once

#include "sim/api_client.h"

namespace gantry::sim {

class User {
 public:
  User(ClientWorld& world, std::string name, std::vector<std::string> task_queues);

  void start() { scope_.spawn("submissions", submit()); }
  /// Reads every task once more.
  Async<> read_all();
  void stop() { scope_.cancel(); }
  Scope& scope() { return scope_; }
  ApiClient& api() { return api_; }
  SimEnv& env() { return env_; }

 private:
  Async<> submit();
  Async<> look_after(TaskId id);
  Async<bool> create(TaskId id);
  Async<> act(TaskId id);
  Async<> read_status(TaskId id);
  Async<> read_definition(TaskId id);
  Async<> read_natively(TaskId id);
  Async<> read_artifacts(TaskId id);
  Async<> read_log(TaskId id);
  Async<> create_again(TaskId id);
  Async<> overwrite(TaskId id);
  Async<> cancel(TaskId id);
  Async<> look_around();
  TaskId plan_task();

  ClientWorld& world_;
  std::vector<std::string> task_queues_;
  SimEnv env_;
  ApiClient api_;
  std::map<TaskId, std::string> bodies_;
  Scope scope_;
};

}  // namespace gantry::sim
