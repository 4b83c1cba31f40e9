#include "agent/task/task_run.h"

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/task/one_line.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

using wire::ReasonResolved;

constexpr Duration kill_wait_max = seconds(20);     // until a killed container is gone
constexpr Duration cancelled_log_max = seconds(5);  // for the last words of a cancelled run
constexpr Duration last_report_max = seconds(60);   // of a run that broke off here
constexpr Duration flush_step = seconds(2);         // then it is looked whether the log is still wanted
constexpr Duration pull_retry_delay = seconds(2);
constexpr int pull_tries_max = 3;
constexpr int create_tries_max = 2;
constexpr int remove_tries_max = 5;

bool lacks_rights(const Error& error) {
  return error.code() == ErrorCode::not_authenticated || error.code() == ErrorCode::not_authorized;
}

}  // namespace

TaskRun::TaskRun(Env& env, engine::Engine& engine, ServerApi& server, const RunSettings& settings, ClaimedRun claim,
                 std::string container)
    : env_(env),
      engine_(engine),
      server_(server),
      settings_(settings),
      claim_(std::move(claim)),
      scope_(env.executor(), "run " + claim_.run.task.to_string()),
      work_(env.executor(), "run " + claim_.run.task.to_string()),
      log_(env, server, claim_.run,
           fmt::format("{}/{}-{}.spool", settings.spool_directory, claim_.run.task.to_string(), claim_.run.run),
           [this] { return context_.signer; }),
      watch_(
          env, engine, log_, settings.log_bytes_max, [this] { watch_changed(); }, settings.engine_away),
      context_{env,
               engine,
               server,
               scope_,
               claim_.run,
               claim_.expires,
               {},
               std::make_shared<const wire::HawkSigner>(claim_.credentials),
               log_,
               container,
               !container.empty()} {}

TaskRun::~TaskRun() = default;

void TaskRun::step(std::string name) { steps_.emplace_back(std::move(name), env_.now()); }

void TaskRun::stop(Stop why) {
  if (stop_ == Stop::none) stop_ = why;
  news_.notify_all();
}

void TaskRun::cancel() {
  unwanted_ = true;
  stop(Stop::cancelled);
}
void TaskRun::abort() { stop(Stop::aborted); }
void TaskRun::engine_lost() { stop(Stop::engine_lost); }

void TaskRun::watch_changed() {
  using State = ContainerWatch::State;
  if (watch_.state() == State::exited) step("exited");
  if (watch_.state() == State::engine_lost) stop(Stop::engine_lost);
  if (watch_.state() == State::log_full) stop(Stop::log_limit);
  if (watch_.state() == State::log_broken) stop(Stop::log_broken);
  news_.notify_all();
}

Async<> TaskRun::run() {
  began_ = env_.uptime();
  scope_.spawn("claim", keep_claim());
  std::exception_ptr failure;
  try {
    co_await execute();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure && !is_cancelled(failure)) {
    std::string message = error_of(failure).message();
    log_error("run {} of task {}: {}", claim_.run.run, claim_.run.task.to_string(), message);
    failure = nullptr;
    try {
      co_await report_internal_error(message);
      co_await remove_container();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  work_.cancel();
  scope_.cancel();
  co_await work_.join();
  co_await scope_.join();
  co_await log_.settle();  // or the run could not be taken up again while the disk is slow
}

Async<> TaskRun::execute() {
  step("received");
  co_await unless_stopped(prepare());
  if (!ending_ && stop_ == Stop::none) {
    co_await (context_.adopted ? take_up_container() : start_container());
  }
  if (!ending_) {
    co_await wait_for_end();
    if (stop_ == Stop::none) co_await judge_exit();
    if (stop_ == Stop::none) co_await unless_stopped(call_stopped_hooks());
    if (stop_ != Stop::none && !unwanted_) co_await judge_stop();
  }
  if (unwanted_) {
    co_await remove_container();
    co_await log_footer();
    co_return;
  }
  co_await log_footer();
  co_await report();
  co_await remove_container();
}

/// Does `work`, which stops where it is if the run is stopped meanwhile.
Async<> TaskRun::unless_stopped(Async<> work) {
  working_ = true;
  work_.spawn("work", work_to_end(std::move(work)));
  while (working_ && stop_ == Stop::none) co_await news_.wait();
  work_.cancel();
  co_await work_.join();
  std::exception_ptr failure = std::exchange(work_failure_, nullptr);
  if (failure && !is_cancelled(failure)) std::rethrow_exception(failure);
}

Async<> TaskRun::work_to_end(Async<> work) {
  try {
    co_await std::move(work);
  } catch (...) {
    work_failure_ = std::current_exception();
  }
  working_ = false;
  news_.notify_all();
}

/// Records how the run ends, and why, where its owner will look.
Async<> TaskRun::fail(ReasonResolved reason, std::string message) {
  Ending ending;
  ending.reason = reason;
  ending.end.known = true;
  ending.end.cause = "not-started";
  ending.end.message = message;
  ending_ = std::move(ending);
  co_await log_.error_line(one_line(std::move(message)));
}

/// A fault of this node is another node's chance: the run is handed back. All else is the task's own.
Async<> TaskRun::fail_to_start(std::string what, bool of_node, Error failure) {
  std::string hint = failure.hint().empty() ? "" : "; " + failure.hint();
  if (may_retry(failure) && !co_await engine_answers()) {
    of_node = true;
    settings_.engine_away();
  }
  co_await fail(of_node ? ReasonResolved::worker_shutdown : ReasonResolved::failed,
                fmt::format("{}: {}{}", what, failure.message(), hint));
}

Async<bool> TaskRun::engine_answers() {
  try {
    co_await engine_.probe();
  } catch (const Error&) {
    co_return false;
  }
  co_return true;
}

Async<> TaskRun::prepare() {
  auto payload = wire::parse_payload(claim_.payload);
  std::optional<std::string> wrong;
  if (!payload) {
    wrong = payload.error().message();
  } else {
    context_.payload = std::move(payload).assume_value();
    wrong = objection(context_.payload, claim_);
  }
  if (wrong) {
    log_.start(scope_, context_.payload.log);
    co_await fail(ReasonResolved::malformed_payload, *wrong);
    co_return;
  }
  features_ = make_features(context_.payload);
  std::optional<Error> failure;
  try {
    for (auto& feature : features_) co_await feature->link(context_);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    co_await fail_to_start("A feature of the task could not be set up", false, *failure);
    co_return;
  }
  if (context_.adopted) co_return;
  co_await log_header();
  try {
    co_await ensure_image();
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) co_return;
  co_await fail_to_start(fmt::format("Pulling docker image \"{}\" has failed", context_.payload.image), false,
                         *failure);
}

Async<> TaskRun::ensure_image() {
  const std::string& image = context_.payload.image;
  for (int attempt = 1;; ++attempt) {
    std::optional<Error> failure;
    try {
      bool present = co_await engine_.has_image(image);
      if (!present) {
        co_await log_.line("Pulling image " + image);
        co_await engine_.pull_image(image, [](const std::string&) {});
      }
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) break;
    bool again = may_retry(*failure) && attempt < pull_tries_max;
    if (!again || !co_await engine_answers()) throw *failure;
    co_await log_.line(fmt::format("{}; trying again", one_line(failure->message())));
    co_await env_.sleep(pull_retry_delay * attempt);
  }
  step("image");
}

/// A name that is taken is left over from a claim that was taken back.
Async<> TaskRun::create_container() {
  for (int attempt = 1;; ++attempt) {
    std::optional<Error> failure;
    try {
      context_.container = co_await engine_.create_container(
          container_spec(settings_, claim_.run, context_.payload, server_.root_url()));
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) break;
    bool taken = failure->code() == ErrorCode::conflict;
    if (!taken || attempt == create_tries_max) throw *failure;
    co_await engine_.remove_container(container_name(claim_.run));
  }
  step("created");
}

Async<> TaskRun::start_container() {
  std::optional<Error> failure;
  try {
    co_await create_container();
    for (auto& feature : features_) co_await feature->created(context_);
    auto output = co_await engine_.attach(context_.container);
    co_await log_.line("=== Task Starting ===");
    if (log_.broken()) stop(Stop::log_broken);  // or a silent container would be reported without its log
    if (stop_ != Stop::none) co_return;
    step("starting");
    co_await engine_.start_container(context_.container);
    step("started");
    container_started_ = env_.now();
    watch_.begin(scope_, context_.container, std::move(output));
    for (auto& feature : features_) co_await feature->started(context_);
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) co_return;
  bool of_node = may_retry(*failure);  // a bad command or mount is refused with another code
  co_await fail_to_start("Failure to properly start execution environment", of_node, *failure);
}

Async<> TaskRun::take_up_container() {
  std::optional<Error> failure;
  bool never_started = false;
  try {
    engine::ContainerState found = co_await engine_.inspect_container(context_.container);
    never_started = found.created_only;
    if (never_started) co_await engine_.remove_container(context_.container);
    container_started_ = found.started;
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    stop(Stop::engine_lost);
  } else if (never_started) {
    // Killed between create and start: nothing has run yet.
    co_await start_container();
  } else {
    watch_.begin(scope_, context_.container, nullptr);
  }
}

Async<> TaskRun::await_stop_or_exit() {
  Duration limit = context_.payload.max_run_time - (env_.now() - container_started_);
  Duration until = env_.uptime() + limit;
  while (!watch_.exit_code() && stop_ == Stop::none) {
    Duration left = until - env_.uptime();
    if (left <= Duration(0)) {
      bool in_time = co_await watch_.ended_within(context_.payload.max_run_time);
      if (!in_time) stop(Stop::time_limit);
      co_return;
    }
    co_await news_.wait_for(env_, left);
  }
}

Async<> TaskRun::wait_for_end() {
  co_await await_stop_or_exit();
  if (unwanted_) co_return;  // execute() removes it
  bool started = watch_.state() != ContainerWatch::State::idle;
  if (started && !watch_.exit_code() && stop_ != Stop::engine_lost) {
    std::optional<Error> failure;
    try {
      co_await engine_.kill_container(context_.container, "KILL");
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) co_await watch_.await_exit(kill_wait_max);
  }
  if (!watch_.exit_code()) co_return;
  bool whole = co_await watch_.drain();
  if (!whole) co_await log_.error_line("The container engine did not give the output to its end");
}

/// How a container that ended by itself has done.
Async<> TaskRun::judge_exit() {
  int code = *watch_.exit_code();
  Ending ending;
  ending.reason = code == 0 ? ReasonResolved::completed : ReasonResolved::failed;
  ending.end.known = true;
  ending.end.cause = "exited";
  ending.end.exit_code = code;
  ending.end.signal = code > 128 ? code - 128 : 0;
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
  co_await log_.line(fmt::format("Worker Pool: {}", settings_.task_queue));
  co_await log_.line(fmt::format("Worker Version: {}", GANTRY_VERSION));
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
      co_await server_.call(context_.signer, net::Method::post, native_run_path(claim_.run) + "/log/close", "", "",
                            cancelled_log_max);
    } else {
      for (auto& feature : features_) co_await feature->killed(context_);
      co_await flush_log();
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
  bool taken = co_await report_once(report, report_patience);
  if (!taken && !unwanted_) {
    // The server has less of the log than it said: better a log without its end than no result.
    report.log_bytes = 0;
    co_await report_once(std::move(report), last_report_max);
  }
  log_.discard();
}

/// False if the server refused it.
Async<bool> TaskRun::report_once(wire::RunReport report, Duration patience) {
  std::string body = wire::to_json(report);
  Duration until = env_.uptime() + patience;
  Duration delay = retry_delay_min;
  for (;;) {
    std::optional<Error> failure;
    try {
      co_await server_.post_json(context_.signer, native_run_path(claim_.run) + "/report", body, request_timeout);
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

/// Of a run that broke off here, so that it is not held until its claim runs out.
Async<> TaskRun::report_internal_error(std::string message) {
  wire::RunReport report;
  report.reason = ReasonResolved::internal_error;
  report.end.known = true;
  report.end.cause = "internal-error";
  report.end.message = std::move(message);
  report.log_bytes = log_.shipped();
  co_await report_once(std::move(report), last_report_max);
  log_.discard();
}

/// What does not go now is removed by the agent's upkeep once the engine answers again.
Async<> TaskRun::remove_container() {
  for (int attempt = 1; !context_.container.empty() && attempt <= remove_tries_max; ++attempt) {
    std::optional<Error> failure;
    try {
      co_await engine_.remove_container(context_.container);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) co_return;
    log_warning("container of task {}: {}", claim_.run.task.to_string(), failure->message());
    bool answers = co_await engine_answers();
    if (!answers) {
      settings_.engine_away();
      co_return;
    }
    co_await env_.sleep(retry_delay_min * (1 << attempt));
  }
}

/// New credentials by the agent's own, for a run whose own ran out while the server could not be reached. False if the
/// run is no longer ours.
Async<bool> TaskRun::renew() {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("workerGroup", settings_.worker_group).field("workerId", settings_.worker_id);
  out.end_object();
  try {
    std::string answer = co_await server_.post_json(settings_.agent_signer, native_run_path(claim_.run) + "/resume",
                                                    std::move(body), request_timeout);
    RenewedClaim renewed = read_renewal(value_or_throw(parse_json(answer)));
    claim_.taken_until = renewed.taken_until;
    context_.signer = std::make_shared<const wire::HawkSigner>(renewed.credentials);
  } catch (const Error& error) {
    co_return may_retry(error);
  }
  co_return true;
}

Async<> TaskRun::keep_claim() {
  for (;;) {
    Duration half = std::max<Duration>((claim_.taken_until - env_.now()) / 2, seconds(1));
    co_await env_.sleep(half);
    std::optional<Error> failure;
    try {
      std::string answer =
          co_await server_.post_json(context_.signer, queue_run_path(claim_.run) + "/reclaim", "{}", request_timeout);
      RenewedClaim renewed = read_renewal(value_or_throw(parse_json(answer)));
      claim_.taken_until = renewed.taken_until;
      context_.signer = std::make_shared<const wire::HawkSigner>(renewed.credentials);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) continue;
    log_warning("reclaim of task {}: {}", claim_.run.task.to_string(), failure->message());
    bool ours = may_retry(*failure);
    if (lacks_rights(*failure)) ours = co_await renew();
    if (!ours) {
      cancel();
      co_return;
    }
  }
}

}  // namespace gantry::agent
