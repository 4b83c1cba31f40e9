// How a run ends: what came of it, the last lines of its log, the report, the removal of its container.
#include <algorithm>

#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/queue_link.h"
#include "agent/task/one_line.h"
#include "agent/task/task_run.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

using wire::ReasonResolved;

constexpr Duration cancelled_log_max = seconds(5);  // for the last words of a cancelled run
constexpr Duration last_report_max = seconds(60);   // of a run that broke off here
constexpr Duration flush_step = seconds(2);         // then it is looked whether the log is still wanted
constexpr int remove_tries_max = 5;

}  // namespace

/// How a container that ended by itself has done.
Async<> TaskRun::judge_exit() {
  int code = *watch_.exit_code();
  Ending ending;
  ending.reason = code == 0 ? ReasonResolved::completed : ReasonResolved::failed;
  ending.end.known = true;
  ending.end.cause = "exited";
  ending.end.exit_code = code;
  ending.end.signal = code > 128 ? code - 128 : 0;
  context_.exit_code = code;
  if (context_.payload.on_exit_status.retries(code)) {
    ending.reason = ReasonResolved::intermittent_task;
    ending.end.message = fmt::format("exit code {} is one of payload.onExitStatus.retry", code);
  }
  if (ending.end.signal == 9) {
    std::optional<Error> failure;
    try {
      ending.end.out_of_memory = (co_await engine_.inspect_container(context_.container)).out_of_memory;
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) log_warning("task {}: {}", claim_.run.task.to_string(), failure->message());
  }
  if (ending.end.out_of_memory) {
    ending.end.message =
        fmt::format("used more than its memory limit of {} bytes", context_.payload.resources.memory_bytes);
    co_await log_.error_line("Out of memory: the container " + ending.end.message);
  }
  context_.succeeded = ending.reason == ReasonResolved::completed;
  ending_ = std::move(ending);
}

/// What is reported of a container that was stopped, or lost.
Async<> TaskRun::judge_stop() {
  wire::ContainerEnd end;
  end.known = true;
  if (auto code = watch_.exit_code()) {
    end.exit_code = *code;
    end.signal = *code > 128 ? *code - 128 : 0;
  }
  ReasonResolved reason = ReasonResolved::worker_shutdown;
  std::string line;
  switch (stop_) {
    case Stop::none:
    case Stop::cancelled: co_return;
    case Stop::aborted:
      end.cause = "worker-shutdown";
      line = "Task has been aborted prematurely. Reason: worker-shutdown";
      break;
    case Stop::engine_lost:
      end.cause = "engine-lost";
      end.message = "the container engine went away while the task ran";
      line = "The container engine went away; the task is tried again if it has retries left";
      break;
    case Stop::killed_unwatched:
      end.cause = "engine-lost";
      end.message = "the container was killed while no agent watched it";
      line = "The container was killed while no agent watched it; the task is tried again if it has retries left";
      break;
    case Stop::log_broken:
      end.cause = "log-lost";
      end.message = log_.broken() ? log_.broken()->message() : "";
      break;
    case Stop::time_limit: {
      reason = ReasonResolved::failed;
      end.cause = "time-limit";
      auto limit = std::chrono::duration_cast<seconds>(context_.payload.max_run_time).count();
      end.message = fmt::format("ran longer than maxRunTime, {} s", limit);
      line = fmt::format("Task timeout after {} seconds. Force killing container.", limit);
      break;
    }
    case Stop::log_limit:
      reason = ReasonResolved::failed;
      end.cause = "log-limit";
      end.message = fmt::format("wrote more than {} bytes of log", settings_.log_bytes_max);
      line = end.message + ". Force killing container.";
      break;
  }
  if (stop_ == Stop::time_limit) {
    auto limit = std::chrono::duration_cast<seconds>(context_.payload.max_run_time).count();
    tell_of("task max runtime timeout", {{"maxRunTime", limit}});
  } else {
    tell_of("task aborted", {{"reason", end.cause}});
  }
  context_.succeeded = false;
  ending_ = Ending{reason, std::move(end)};
  if (!line.empty()) co_await log_.error_line(std::move(line));
}

Async<> TaskRun::call_stopped_hooks() {
  if (!context_.payload.artifacts.empty()) step("artifacts");
  for (auto& feature : features_) {
    std::optional<Error> failure;
    try {
      co_await feature->stopped(context_);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) continue;
    if (may_retry(*failure) && !co_await engine_answers()) {
      settings_.engine_away();
      stop(Stop::engine_lost);
      co_return;
    }
    co_await log_.error_line(one_line(failure->message()));
    ending_->end.message = failure->message();
    context_.succeeded = false;
    if (ending_->reason == ReasonResolved::completed) ending_->reason = ReasonResolved::failed;
  }
}

Async<> TaskRun::log_header() {
  co_await log_.line(fmt::format("Task ID: {}", claim_.run.task.to_string()));
  co_await log_.line(fmt::format("Worker ID: {}", settings_.worker_id));
  co_await log_.line(fmt::format("Worker Group: {}", settings_.worker_group));
  co_await log_.line(fmt::format("Worker Type: {}", settings_.task_queue.substr(settings_.task_queue.find('/') + 1)));
  co_await log_.line(fmt::format("Worker Pool: {}", settings_.task_queue));
  co_await log_.line(fmt::format("Worker Version: {}", GANTRY_VERSION));
  if (!settings_.public_ip.empty()) co_await log_.line("Public IP: " + settings_.public_ip);
  if (!settings_.host_name.empty()) co_await log_.line("Hostname: " + settings_.host_name);
  for (const auto& [name, path] : context_.payload.caches) {
    co_await log_.line(one_line(fmt::format("using cache \"{}\" -> {}", name, path)));
  }
}

Async<> TaskRun::log_footer() {
  if (unwanted_) {
    co_await log_.error_line("Task was canceled");
  } else if (auto code = watch_.exit_code()) {
    co_await log_.line("=== Task Finished ===");
    double ran_s = static_cast<double>((env_.uptime() - began_).count()) / 1000;
    co_await log_.line(fmt::format("{} task run with exit code: {} completed in {:.3f} seconds",
                                   context_.succeeded ? "Successful" : "Unsuccessful", *code, ran_s));
  } else {
    co_await log_.line("Unsuccessful task run");
  }
  std::optional<Error> failure;
  try {
    if (!log_.started()) log_.start(scope_, context_.payload.log);
    if (unwanted_) {
      co_await log_.flush(cancelled_log_max);
      co_await server_.queue().give_up(context_.signer, claim_.run);
    } else {
      Duration since = env_.uptime();
      co_await call_late_hooks(&Feature::killed);
      tell_state("killed", since);
      co_await flush_log();
      co_await server_.queue().keep_log(context_);
    }
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) log_warning("log of task {}: {}", claim_.run.task.to_string(), failure->message());
  if (unwanted_) log_.discard();
}

/// As long as the run is wanted: one that was resolved meanwhile has nobody to wait for it.
Async<> TaskRun::flush_log() {
  Duration until = env_.uptime() + report_patience;
  for (;;) {
    std::optional<Error> failure;
    try {
      co_await log_.flush(flush_step);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) co_return;
    bool again = failure->code() == ErrorCode::deadline_exceeded && !unwanted_ && env_.uptime() < until;
    if (!again) throw *failure;
  }
}

Async<> TaskRun::report() {
  step("logged");
  wire::RunReport report{ending_->reason, std::move(ending_->end), std::min(log_.bytes(), log_.shipped())};
  report.end.steps = steps_;
  Duration since = env_.uptime();
  bool taken = co_await report_once(report, report_patience);
  if (!taken && !unwanted_) {
    // The server has less of the log than it said: better a log without its end than no result.
    report.log_bytes = 0;
    taken = co_await report_once(std::move(report), last_report_max);
  }
  if (taken) tell_resolved(ending_->reason, since);
  log_.discard();
}

/// False if the server refused it.
Async<bool> TaskRun::report_once(wire::RunReport report, Duration patience) {
  Duration until = env_.uptime() + patience;
  Duration delay = retry_delay_min;
  for (;;) {
    std::optional<Error> failure;
    try {
      co_await server_.queue().report(context_.signer, claim_.run, report);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) co_return true;
    bool renewed = false;
    if (lacks_rights(*failure)) renewed = co_await renew();
    bool wanted = !unwanted_ && env_.uptime() < until && (renewed || may_retry(*failure));
    if (!wanted) {
      log_warning("task {} could not be reported: {}", claim_.run.task.to_string(), failure->message());
      co_return false;
    }
    co_await env_.sleep(delay);
    delay = std::min(delay * 2, retry_delay_max);
  }
}

/// `since`: when its report began.
void TaskRun::tell_resolved(ReasonResolved reason, Duration since) {
  bool is_end = reason == ReasonResolved::completed || reason == ReasonResolved::failed;
  json::object fields = {{"taskState", is_end ? wire::name_of(reason) : "exception"},
                         {"reason", wire::name_of(reason)},
                         {"reportMs", (env_.uptime() - since).count()},
                         {"totalMs", (env_.uptime() - began_).count()}};
  auto started = std::ranges::find(steps_, "started", &std::pair<std::string, Time>::first);
  auto exited = std::ranges::find(steps_, "exited", &std::pair<std::string, Time>::first);
  if (started != steps_.end() && exited != steps_.end()) {
    fields["runMs"] = (exited->second - started->second).count();
  }
  tell_of("task resolved", std::move(fields));
}

/// Of a run that broke off here, so that it is not held until its claim runs out.
Async<> TaskRun::report_internal_error(std::string message) {
  wire::RunReport report;
  report.reason = ReasonResolved::internal_error;
  report.end.known = true;
  report.end.cause = "internal-error";
  report.end.message = std::move(message);
  report.log_bytes = log_.shipped();
  Duration since = env_.uptime();
  bool taken = co_await report_once(std::move(report), last_report_max);
  if (taken) tell_resolved(ReasonResolved::internal_error, since);
  log_.discard();
}

Async<> TaskRun::remove_container() {
  co_await try_to_remove();
  co_await call_late_hooks(&Feature::removed);
  features_.clear();
}

/// Those whose errors change nothing any more.
Async<> TaskRun::call_late_hooks(Hook hook) {
  for (auto& feature : features_) {
    std::optional<Error> failure;
    try {
      co_await (*feature.*hook)(context_);
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) log_warning("task {}: {}", claim_.run.task.to_string(), failure->message());
  }
}

/// What does not go now is removed by the agent's upkeep once the engine answers again.
Async<> TaskRun::try_to_remove() {
  for (int attempt = 1; !context_.container.empty() && attempt <= remove_tries_max; ++attempt) {
    std::optional<Error> failure;
    try {
      co_await engine_.remove_container(context_.container);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) {
      context_.container.clear();
      co_return;
    }
    log_warning("container of task {}: {}", claim_.run.task.to_string(), failure->message());
    bool answers = co_await engine_answers();
    if (!answers) {
      settings_.engine_away();
      co_return;
    }
    co_await env_.sleep(retry_delay_min * (1 << attempt));
  }
}

}  // namespace gantry::agent
