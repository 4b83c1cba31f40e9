// One run of a task from claim to report: one coroutine, read from top to bottom (taskcluster.md 1.1).
//
// io_context thread only. Life: construct, run() once; cancel(), abort() and engine_lost() at any time meanwhile.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/task/claimed_run.h"
#include "agent/task/container_spec.h"
#include "agent/task/container_watch.h"
#include "agent/task/feature.h"
#include "agent/task/run_log.h"

namespace gantry::agent {

class TaskRun {
 public:
  /// `container` is that of a run which is taken up after a restart; else empty.
  TaskRun(Env& env, engine::Engine& engine, ServerApi& server, const RunSettings& settings, ClaimedRun claim,
          std::string container);
  ~TaskRun();

  /// Works until the run is reported or nobody wants it any more. Never throws but for cancellation.
  Async<> run();
  /// The run is no longer ours: kill the container, report nothing.
  void cancel();
  /// The agent is told to stop: kill the container and hand the run back as worker-shutdown.
  void abort();
  /// The engine has been away for too long: hand the run back as worker-shutdown.
  void engine_lost();

  wire::RunRef ref() const { return claim_.run; }
  /// Cancelled: the server need not say so again.
  bool unwanted() const { return unwanted_; }

 private:
  struct Ending {
    wire::ReasonResolved reason = wire::ReasonResolved::internal_error;
    wire::ContainerEnd end;
  };
  enum class Stop { none, cancelled, aborted, time_limit, log_limit, log_broken, engine_lost, killed_unwatched };

  Async<> execute();
  Async<> unless_stopped(Async<> work);
  Async<> work_to_end(Async<> work);
  Async<> prepare();
  using Hook = Async<> (Feature::*)(RunContext&);
  Async<> call_hooks(Hook hook);
  Async<> call_late_hooks(Hook hook);
  Async<> ensure_image();
  Async<> create_container();
  Async<> start_container();
  Async<> take_up_container();
  Async<> wait_for_end();
  Async<> await_stop_or_exit();
  Async<> judge_exit();
  Async<> judge_stop();
  Async<> call_stopped_hooks();
  Async<> report();
  Async<> report_internal_error(std::string message);
  Async<bool> report_once(wire::RunReport report, Duration patience);
  Async<> remove_container();
  Async<> try_to_remove();
  Async<> keep_claim();
  Async<bool> renew();
  Async<bool> engine_answers();
  Async<> log_header();
  Async<> log_footer();
  Async<> flush_log();
  Async<> fail(wire::ReasonResolved reason, std::string message);
  Async<> fail_to_start(std::string what, bool of_node, Error failure);
  void watch_changed();
  /// The run's ids, told with what happens.
  json::object told_fields() const;
  void tell_of(std::string_view event, json::object fields = {});
  void tell_state(std::string_view state, Duration since);
  void tell_resolved(wire::ReasonResolved reason, Duration since);
  void step(std::string name);
  void stop(Stop why);

  Env& env_;
  engine::Engine& engine_;
  ServerApi& server_;
  const RunSettings& settings_;
  ClaimedRun claim_;
  Scope scope_;
  Scope work_;  // of unless_stopped()
  RunLog log_;
  ContainerWatch watch_;
  RunContext context_;
  std::vector<std::unique_ptr<Feature>> features_;
  Duration began_{};
  Time container_started_;
  bool killed_unwatched_ = false;  // the container that was taken up had been killed, nobody knows by whom
  Duration ran_{};                 // and so long it had run
  Stop stop_ = Stop::none;         // the first reason to stop
  bool unwanted_ = false;          // cancelled, whatever stopped it first
  Event news_;                     // of stop_, of the watch, of work_
  bool working_ = false;
  std::exception_ptr work_failure_;
  std::optional<Ending> ending_;
  std::vector<std::pair<std::string, Time>> steps_;
};

}  // namespace gantry::agent
