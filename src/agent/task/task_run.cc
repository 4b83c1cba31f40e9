#include "agent/task/task_run.h"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>

#include "agent/limits.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

using wire::ReasonResolved;

constexpr Duration output_drain_max = seconds(10);  // after the container has ended
constexpr Duration kill_wait_max = seconds(20);     // until a killed container is gone
constexpr Duration cancelled_log_max = seconds(5);  // for the last words of a cancelled run
constexpr int remove_tries_max = 5;

std::string container_name(wire::RunRef run) { return fmt::format("gantry-{}-{}", run.task.to_string(), run.run); }

Error in_answer(std::string_view what) {
  return Error(ErrorCode::invalid_input, fmt::format("the server's claim has no valid {}", what));
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_string()) throw in_answer(key);
  return std::string(value->get_string());
}

Time time_at(const json::object& object, std::string_view key) {
  auto time = parse_time(text_at(object, key));
  if (!time) throw in_answer(key);
  return *time;
}

const json::object& object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_object()) throw in_answer(key);
  return value->get_object();
}

wire::HawkCredentials credentials_at(const json::object& object) {
  const json::object& from = object_at(object, "credentials");
  return {text_at(from, "clientId"), text_at(from, "accessToken"), text_at(from, "certificate")};
}

}  // namespace

ClaimedRun read_claim(const json::value& element) {
  if (!element.is_object()) throw in_answer("element");
  const json::object& object = element.get_object();
  const json::object& task = object_at(object, "task");
  ClaimedRun claim;
  auto id = TaskId::parse(text_at(object_at(object, "status"), "taskId"));
  const json::value* run = object.if_contains("runId");
  if (!id || !run || !run->is_int64()) throw in_answer("taskId and runId");
  claim.run = {*id, static_cast<int>(run->get_int64())};
  claim.taken_until = time_at(object, "takenUntil");
  claim.expires = time_at(task, "expires");
  claim.deadline = time_at(task, "deadline");
  if (const json::value* payload = task.if_contains("payload")) claim.payload = *payload;
  claim.credentials = credentials_at(object);
  return claim;
}

TaskRun::TaskRun(Env& env, engine::Engine& engine, ServerApi& server, const RunSettings& settings, ClaimedRun claim,
                 std::string container)
    : env_(env),
      engine_(engine),
      server_(server),
      settings_(settings),
      claim_(std::move(claim)),
      scope_(env.executor(), "run " + claim_.run.task.to_string()),
      log_(env, server, claim_.run,
           fmt::format("{}/{}-{}.spool", settings.spool_directory, claim_.run.task.to_string(), claim_.run.run),
           [this] { return context_.signer; }),
      context_{env,     engine,      server, scope_, claim_.run, claim_.expires,
               {},      std::make_shared<const wire::HawkSigner>(claim_.credentials), log_,
               container, !container.empty()} {}

TaskRun::~TaskRun() = default;

void TaskRun::step(std::string name) { steps_.emplace_back(std::move(name), env_.now()); }

void TaskRun::stop(Stop why) {
  if (stop_ != Stop::none) return;
  stop_ = why;
  stop_or_exit_.notify_all();
}

void TaskRun::cancel() { stop(Stop::cancelled); }
void TaskRun::abort() { stop(Stop::aborted); }

Async<> TaskRun::run() {
  began_ = env_.uptime();
  scope_.spawn("claim", keep_claim());
  std::exception_ptr failure;
  try {
    co_await execute();
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  scope_.cancel();
  co_await scope_.join();
  if (failure && !is_cancelled(failure)) {
    log_error("run {} of task {}: {}", claim_.run.run, claim_.run.task.to_string(), error_of(failure).message());
  }
}

Async<> TaskRun::execute() {
  step("received");
  co_await prepare();
  if (!ending_ && stop_ == Stop::none) {
    co_await (context_.adopted ? take_up_container() : start_container());
  }
  if (!ending_) {
    co_await wait_for_end();
    co_await judge();
  }
  if (stop_ == Stop::cancelled) {
    co_await remove_container();
    co_await log_footer();
    co_return;
  }
  co_await log_footer();
  co_await report();
  co_await remove_container();
}

/// Records how the run ends, and why, where its owner will look.
Async<> TaskRun::fail(ReasonResolved reason, std::string message) {
  Ending ending;
  ending.reason = reason;
  ending.end.known = true;
  ending.end.cause = "not-started";
  ending.end.message = message;
  ending_ = std::move(ending);
  co_await log_.error_line(std::move(message));
}

Async<> TaskRun::prepare() {
  auto payload = wire::parse_payload(claim_.payload);
  if (!payload) {
    log_.start(scope_, "public/logs/live.log");
    co_await fail(ReasonResolved::malformed_payload, payload.error().message());
    co_return;
  }
  context_.payload = std::move(payload).assume_value();
  features_ = make_features(context_.payload);
  std::optional<Error> failure;
  try {
    for (auto& feature : features_) co_await feature->link(context_);
    if (context_.adopted) co_return;
    co_await log_header();
    bool present = co_await engine_.has_image(context_.payload.image);
    if (!present) {
      co_await log_.line("Pulling image " + context_.payload.image);
      co_await engine_.pull_image(context_.payload.image, [](const std::string&) {});
    }
    step("image");
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) co_return;
  bool engine_away = may_retry(*failure);
  std::string hint = failure->hint().empty() ? "" : "; " + failure->hint();
  co_await fail(engine_away ? ReasonResolved::worker_shutdown : ReasonResolved::failed,
                fmt::format("Pulling docker image \"{}\" has failed: {}{}", context_.payload.image,
                            failure->message(), hint));
}

engine::ContainerSpec TaskRun::container_spec() const {
  const wire::Payload& payload = context_.payload;
  engine::ContainerSpec spec;
  spec.name = container_name(claim_.run);
  spec.image = payload.image;
  spec.command = payload.command;
  spec.env = payload.env;
  std::string task = claim_.run.task.to_string();
  std::string run = std::to_string(claim_.run.run);
  auto slash = settings_.task_queue.find('/');
  const std::pair<std::string, std::string> injected[] = {
      {"TASK_ID", task},
      {"RUN_ID", run},
      {"TASKCLUSTER_ROOT_URL", server_.root_url()},
      {"TASKCLUSTER_WORKER_GROUP", settings_.worker_group},
      {"TASKCLUSTER_WORKER_TYPE", settings_.task_queue.substr(slash + 1)},
      {"TASKCLUSTER_WORKER_POOL", settings_.task_queue},
  };
  for (const auto& [name, value] : injected) {
    std::erase_if(spec.env, [&](const auto& variable) { return variable.first == name; });
    spec.env.emplace_back(name, value);
  }
  spec.labels = {{agent_label, settings_.agent_id}, {task_label, task}, {run_label, run}};
  spec.limits = {payload.resources.memory_bytes, payload.resources.cpus, payload.resources.pids};
  spec.network = settings_.network;
  return spec;
}

Async<> TaskRun::start_container() {
  std::optional<Error> failure;
  try {
    bool name_taken = false;
    try {
      context_.container = co_await engine_.create_container(container_spec());
    } catch (const Error& error) {
      if (error.code() != ErrorCode::conflict) throw;
      name_taken = true;  // left over from a claim that was taken back
    }
    if (name_taken) {
      co_await engine_.remove_container(container_name(claim_.run));
      context_.container = co_await engine_.create_container(container_spec());
    }
    step("created");
    for (auto& feature : features_) co_await feature->created(context_);
    auto output = co_await engine_.attach(context_.container);
    co_await log_.line("=== Task Starting ===");
    if (stop_ != Stop::none) co_return;
    step("starting");
    co_await engine_.start_container(context_.container);
    step("started");
    container_started_ = env_.now();
    scope_.spawn("output", copy_output(std::move(output), 0, 0));
    scope_.spawn("wait", watch_container());
    for (auto& feature : features_) co_await feature->started(context_);
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) co_return;
  bool engine_away = may_retry(*failure);
  co_await fail(engine_away ? ReasonResolved::worker_shutdown : ReasonResolved::failed,
                "Failure to properly start execution environment: " + failure->message());
}

Async<> TaskRun::take_up_container() {
  std::optional<Error> failure;
  try {
    engine::ContainerState found = co_await engine_.inspect_container(context_.container);
    if (found.created_only) {
      // Killed between create and start: nothing has run yet.
      co_await engine_.remove_container(context_.container);
      co_await start_container();
      co_return;
    }
    container_started_ = found.started;
    auto output = co_await engine_.logs(context_.container, true);
    scope_.spawn("output", copy_output(std::move(output), log_.spooled(1), log_.spooled(2)));
    scope_.spawn("wait", watch_container());
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) stop(Stop::engine_lost);
}

Async<> TaskRun::pump_output(std::shared_ptr<engine::OutputStream> output, std::int64_t skip_stdout,
                             std::int64_t skip_stderr) {
  std::int64_t skip[] = {0, skip_stdout, skip_stderr};
  for (;;) {
    engine::Output piece = co_await output->read();
    if (piece.bytes.empty()) co_return;
    std::int64_t& left = skip[piece.stream];
    auto skipped = std::min<std::int64_t>(left, static_cast<std::int64_t>(piece.bytes.size()));
    left -= skipped;
    piece.bytes.erase(0, static_cast<std::size_t>(skipped));
    if (piece.bytes.empty()) continue;
    if (log_.bytes() + static_cast<std::int64_t>(piece.bytes.size()) > settings_.log_bytes_max) {
      stop(Stop::log_limit);
      co_return;
    }
    co_await log_.write(piece.stream, std::move(piece.bytes));
  }
}

/// The container's output to the log; if the connection to the engine breaks, from the engine's own log again.
Async<> TaskRun::copy_output(std::shared_ptr<engine::OutputStream> output, std::int64_t skip_stdout,
                             std::int64_t skip_stderr) {
  while (stop_ == Stop::none) {
    std::optional<Error> failure;
    try {
      if (!output) {
        skip_stdout = log_.spooled(1);
        skip_stderr = log_.spooled(2);
        output = co_await engine_.logs(context_.container, true);
      }
      co_await pump_output(output, skip_stdout, skip_stderr);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure || container_exited_) break;
    log_warning("output of task {}: {}", claim_.run.task.to_string(), failure->message());
    output = nullptr;
    co_await env_.sleep(seconds(1));
  }
  output_ended_ = true;
  output_end_.notify_all();
}

/// Until the container has ended. An engine that went away is waited for; what ended meanwhile has been interrupted.
Async<> TaskRun::watch_container() {
  Duration lost_since{-1};
  for (;;) {
    std::optional<Error> failure;
    try {
      int code = co_await engine_.wait_container(context_.container);
      if (lost_since >= Duration(0)) break;
      exit_code_ = code;
      container_exited_ = true;
      step("exited");
      stop_or_exit_.notify_all();
      co_return;
    } catch (const Error& error) {
      failure = error;
    }
    if (failure->code() == ErrorCode::not_found) break;
    if (lost_since < Duration(0)) {
      lost_since = env_.uptime();
      log_warning("task {}: {}", claim_.run.task.to_string(), failure->message());
    }
    if (env_.uptime() - lost_since > engine_patience) break;
    co_await env_.sleep(seconds(1));
    bool running = false;
    try {
      running = (co_await engine_.inspect_container(context_.container)).running;
    } catch (const Error& error) {
      failure = error;
    }
    if (running) lost_since = Duration(-1);
  }
  stop(Stop::engine_lost);
}

Async<> TaskRun::await_stop_or_exit() {
  Duration limit = context_.payload.max_run_time - (env_.now() - container_started_);
  Duration until = env_.uptime() + limit;
  while (!container_exited_ && stop_ == Stop::none) {
    Duration left = until - env_.uptime();
    if (left <= Duration(0)) {
      stop(Stop::time_limit);
      co_return;
    }
    co_await stop_or_exit_.wait_for(env_, left);
  }
}

Async<> TaskRun::wait_for_end() {
  co_await await_stop_or_exit();
  if (container_exited_ || stop_ == Stop::engine_lost || context_.container.empty()) {
    co_await finish_output();
    co_return;
  }
  if (stop_ == Stop::cancelled) co_return;  // execute() removes it
  std::optional<Error> failure;
  try {
    co_await engine_.kill_container(context_.container, "KILL");
  } catch (const Error& error) {
    failure = error;
  }
  Duration until = env_.uptime() + kill_wait_max;
  while (!failure && !container_exited_ && env_.uptime() < until) {
    co_await stop_or_exit_.wait_for(env_, until - env_.uptime());
  }
  co_await finish_output();
}

Async<> TaskRun::finish_output() {
  Duration until = env_.uptime() + output_drain_max;
  while (!output_ended_ && container_exited_ && env_.uptime() < until) {
    co_await output_end_.wait_for(env_, until - env_.uptime());
  }
}

/// From how it stopped to what is reported.
Async<> TaskRun::judge() {
  Ending ending;
  ending.end.known = true;
  ending.end.cause = "exited";
  if (exit_code_) {
    ending.end.exit_code = *exit_code_;
    ending.end.signal = *exit_code_ > 128 ? *exit_code_ - 128 : 0;
  }
  switch (stop_) {
    case Stop::cancelled: co_return;
    case Stop::aborted:
      ending.reason = ReasonResolved::worker_shutdown;
      ending.end.cause = "worker-shutdown";
      co_await log_.error_line("Task has been aborted prematurely. Reason: worker-shutdown");
      break;
    case Stop::engine_lost:
      ending.reason = ReasonResolved::worker_shutdown;
      ending.end.cause = "engine-lost";
      ending.end.message = "the container engine went away while the task ran";
      co_await log_.error_line("The container engine went away; the task is tried again if it has retries left");
      break;
    case Stop::time_limit: {
      ending.reason = ReasonResolved::failed;
      ending.end.cause = "time-limit";
      auto limit = std::chrono::duration_cast<seconds>(context_.payload.max_run_time).count();
      ending.end.message = fmt::format("ran longer than maxRunTime, {} s", limit);
      co_await log_.error_line(fmt::format("Task timeout after {} seconds. Force killing container.", limit));
      break;
    }
    case Stop::log_limit:
      ending.reason = ReasonResolved::failed;
      ending.end.cause = "log-limit";
      ending.end.message = fmt::format("wrote more than {} bytes of log", settings_.log_bytes_max);
      co_await log_.error_line(ending.end.message + ". Force killing container.");
      break;
    case Stop::none: {
      ending.reason = *exit_code_ == 0 ? ReasonResolved::completed : ReasonResolved::failed;
      bool killed = ending.end.signal == 9;
      std::optional<Error> failure;
      try {
        if (killed) ending.end.out_of_memory = (co_await engine_.inspect_container(context_.container)).out_of_memory;
      } catch (const Error& error) {
        failure = error;
      }
      if (ending.end.out_of_memory) {
        ending.end.message = fmt::format("used more than its memory limit of {} bytes",
                                         context_.payload.resources.memory_bytes);
        co_await log_.error_line("Out of memory: the container " + ending.end.message);
      }
      break;
    }
  }
  context_.succeeded = ending.reason == ReasonResolved::completed;
  ending_ = std::move(ending);
  if (stop_ == Stop::none) co_await call_stopped_hooks();
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
    co_await log_.error_line(failure->message());
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
  if (stop_ == Stop::cancelled) {
    co_await log_.error_line("Task was canceled");
  } else if (exit_code_) {
    co_await log_.line("=== Task Finished ===");
    double ran_s = static_cast<double>((env_.uptime() - began_).count()) / 1000;
    co_await log_.line(fmt::format("{} task run with exit code: {} completed in {:.3f} seconds",
                                   context_.succeeded ? "Successful" : "Unsuccessful", *exit_code_, ran_s));
  } else {
    co_await log_.line("Unsuccessful task run");
  }
  std::optional<Error> failure;
  try {
    if (!log_.started()) log_.start(scope_, context_.payload.log);
    if (stop_ == Stop::cancelled) {
      co_await log_.flush(cancelled_log_max);
      co_await server_.call(context_.signer, net::Method::post, native_run_path(claim_.run) + "/log/close", "", "",
                            cancelled_log_max);
      log_.discard();
      co_return;
    }
    for (auto& feature : features_) co_await feature->killed(context_);
    co_await log_.flush(report_patience);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) log_warning("log of task {}: {}", claim_.run.task.to_string(), failure->message());
}

Async<> TaskRun::report() {
  step("logged");
  wire::RunReport report{ending_->reason, std::move(ending_->end), log_.bytes()};
  report.end.steps = steps_;
  std::string body = wire::to_json(report);
  Duration until = env_.uptime() + report_patience;
  Duration delay = retry_delay_min;
  for (;;) {
    std::optional<Error> failure;
    try {
      co_await server_.post_json(context_.signer, native_run_path(claim_.run) + "/report", body, request_timeout);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) break;
    bool wanted = stop_ != Stop::cancelled && env_.uptime() < until && may_retry(*failure);
    if (!wanted) {
      log_warning("task {} could not be reported: {}", claim_.run.task.to_string(), failure->message());
      break;
    }
    co_await env_.sleep(delay);
    delay = std::min(delay * 2, retry_delay_max);
  }
  log_.discard();
}

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
    co_await env_.sleep(retry_delay_min * (1 << attempt));
  }
}

Async<> TaskRun::keep_claim() {
  Time taken_until = claim_.taken_until;
  for (;;) {
    Duration half = std::max<Duration>((taken_until - env_.now()) / 2, seconds(1));
    co_await env_.sleep(half);
    std::optional<Error> failure;
    std::string answer;
    try {
      answer = co_await server_.post_json(context_.signer, queue_run_path(claim_.run) + "/reclaim", "{}",
                                          request_timeout);
      json::value document = value_or_throw(parse_json(answer));
      if (!document.is_object()) throw in_answer("object");
      taken_until = time_at(document.get_object(), "takenUntil");
      context_.signer = std::make_shared<const wire::HawkSigner>(credentials_at(document.get_object()));
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) continue;
    log_warning("reclaim of task {}: {}", claim_.run.task.to_string(), failure->message());
    if (!may_retry(*failure)) {
      cancel();
      co_return;
    }
  }
}

}  // namespace gantry::agent
