// A started container until it has ended: its output goes into the run's log, and how it ended is found out, whatever
// happens to the engine meanwhile.
//
// An engine that went away is waited for, engine_patience at most. A container that ended while the engine was away, or
// because the engine was being stopped, was interrupted: its exit code says nothing about the task, and the watch ends
// as `engine_lost`.
//
// io_context thread only. begin() once; its coroutines belong to the scope that it is given.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/task/run_log.h"
#include "engine/engine.h"

namespace gantry::agent {

/// Is it the exit code of a process that was told to stop?
bool was_signalled(int exit_code);

class ContainerWatch {
 public:
  /// `changed` is called for each change of state(); `engine_away` whenever the engine does not answer.
  ContainerWatch(Env& env, engine::Engine& engine, RunLog& log, std::int64_t log_bytes_max,
                 std::function<void()> changed, std::function<void()> engine_away);

  /// `output` is attached since before the container was started; null: the engine's own log is read from the start,
  /// and what is in the spool already is skipped.
  void begin(Scope& scope, std::string container, std::shared_ptr<engine::OutputStream> output);

  enum class State {
    idle,  // before begin()
    running,
    exited,       // with exit_code()
    engine_lost,  // see above
    log_full,     // it wrote more than log_bytes_max; it may still run, or its last output was too much
    log_broken,   // the log cannot be written here (a full disk); likewise
  };
  State state() const { return state_; }
  /// Also if it ended after log_full, log_broken.
  std::optional<int> exit_code() const { return exit_code_; }

  /// Until the container has exited, or `patience` has passed: for one that has been killed.
  Async<> await_exit(Duration patience);
  /// When its time is over: whether it had ended before, which this process may not have heard because it, or the
  /// engine, stood still. Then how it ended is known, or the engine is lost. An engine that is away is waited
  /// for, engine_patience at most.
  Async<bool> ended_within(Duration limit);
  /// Until all output of an exited container is in the log; false if the engine stopped giving it before its end.
  Async<bool> drain();

 private:
  Async<> watch();
  Async<bool> wait_once(bool interrupted);
  Async<bool> runs_still();
  Async<bool> engine_is_staying(int exit_code);
  Async<> copy_output(std::shared_ptr<engine::OutputStream> output);
  Async<> pump(std::shared_ptr<engine::OutputStream> output, std::array<std::int64_t, Spool::streams> skip);
  void enter(State state);

  Env& env_;
  engine::Engine& engine_;
  RunLog& log_;
  std::int64_t log_bytes_max_;
  std::function<void()> changed_;
  std::function<void()> engine_away_;
  std::string container_;
  State state_ = State::idle;
  std::optional<int> exit_code_;
  Event exited_;
  bool output_ended_ = false;
  bool output_whole_ = false;
  std::int64_t output_bytes_ = 0;  // copied so far, to see whether more comes
  Duration last_output_{};         // uptime
  Event output_news_;
};

}  // namespace gantry::agent
