// How long an agent lives: until its host gives notice, or its machine has been idle for long enough.
//
// io_context thread only. Life: construct, start(), and once that scope has been cancelled and joined, the rest.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/host/host.h"
#include "agent/host/idle.h"
#include "base/env.h"

namespace gantry::agent {

/// What an agent does now, and has done.
struct Load {
  int running = 0;
  std::uint64_t begun = 0;  // ever: a task that came and went between two looks is work, too
};

/// Why and how the agent ends.
struct Ending {
  OnStop tasks = OnStop::finish;
  bool machine = false;  // is given up as well
  std::string why;
};

class Life {
 public:
  /// `machine_up`: how long the machine has been running, for its billing cycle. Throws Error(invalid_input) for
  /// settings that cannot be. `load` is called from start() on, as long as the scope is not cancelled.
  Life(Env& env, ShutdownSettings settings, std::shared_ptr<Host> host, Duration machine_up,
       std::function<Load()> load);

  /// Watches, in coroutines of this scope.
  void start(Scope& scope);
  /// Once it is known; notifies news().
  const std::optional<Ending>& ending() const { return ending_; }
  Event& news() { return news_; }
  /// Until the host gives notice that leaves no time for tasks, perhaps for ever.
  Async<> wait_for_haste();
  /// Runs what gives the machine up; the exit code of that, 0 if it is well.
  Async<int> shut_down();

 private:
  Async<> watch_host();
  Async<> watch_idleness();
  void look(Load load);
  void end(Ending ending);
  void tell(std::string_view event, json::object fields = {});
  Async<int> run_command();

  Duration machine_up() const { return env_.uptime() - up_since_; }

  Env& env_;
  ShutdownSettings settings_;
  std::shared_ptr<Host> host_;
  Duration up_since_;  // of the machine, by env's uptime
  std::function<Load()> load_;
  IdleClock idle_;
  std::uint64_t begun_ = 0;
  std::optional<Ending> ending_;
  Event news_;
};

}  // namespace gantry::agent
