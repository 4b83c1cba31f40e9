// One run of a task from claim to report: one coroutine, read from top to bottom (taskcluster.md 1.1).
//
// io_context thread only. Life: construct, run() once; cancel() and abandon() at any time meanwhile.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/task/feature.h"
#include "agent/task/run_log.h"

namespace gantry::agent {

/// What all runs of an agent share.
struct RunSettings {
  std::string agent_id;
  std::string task_queue;
  std::string worker_group;
  std::string worker_id;
  std::string spool_directory;
  std::string network;  // that containers are attached to
  std::int64_t log_bytes_max = 0;
};

/// An element of claimWork's answer.
struct ClaimedRun {
  wire::RunRef run;
  Time taken_until;
  Time expires;  // of the task
  Time deadline;
  json::value payload;
  wire::HawkCredentials credentials;
};
/// Throws Error(invalid_input) if the server's answer is not what it should be.
ClaimedRun read_claim(const json::value& element);

/// Labels of a run's container.
inline constexpr const char* agent_label = "gantry.agent";
inline constexpr const char* task_label = "gantry.task";
inline constexpr const char* run_label = "gantry.run";

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

  wire::RunRef ref() const { return claim_.run; }

 private:
  struct Ending {
    wire::ReasonResolved reason = wire::ReasonResolved::internal_error;
    wire::ContainerEnd end;
  };
  enum class Stop { none, cancelled, aborted, time_limit, log_limit, engine_lost };

  Async<> execute();
  Async<> prepare();
  Async<> start_container();
  Async<> take_up_container();
  Async<> watch_container();
  Async<> copy_output(std::shared_ptr<engine::OutputStream> output, std::int64_t skip_stdout,
                      std::int64_t skip_stderr);
  Async<> pump_output(std::shared_ptr<engine::OutputStream> output, std::int64_t skip_stdout,
                      std::int64_t skip_stderr);
  Async<> wait_for_end();
  Async<> await_stop_or_exit();
  Async<> finish_output();
  Async<> judge();
  Async<> call_stopped_hooks();
  Async<> report();
  Async<> remove_container();
  Async<> keep_claim();
  Async<> log_header();
  Async<> log_footer();
  Async<> fail(wire::ReasonResolved reason, std::string message);
  engine::ContainerSpec container_spec() const;
  void step(std::string name);
  void stop(Stop why);

  Env& env_;
  engine::Engine& engine_;
  ServerApi& server_;
  const RunSettings& settings_;
  ClaimedRun claim_;
  Scope scope_;
  RunLog log_;
  RunContext context_;
  std::vector<std::unique_ptr<Feature>> features_;
  Duration began_{};
  Time container_started_;
  Stop stop_ = Stop::none;
  Event stop_or_exit_;
  bool output_ended_ = false;
  Event output_end_;
  bool container_exited_ = false;
  std::optional<int> exit_code_;
  std::optional<Ending> ending_;
  std::vector<std::pair<std::string, Time>> steps_;
};

}  // namespace gantry::agent
