#include "agent/task/task_run.h"

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "agent/images/image_store.h"
#include "agent/limits.h"
#include "agent/queue_link.h"
#include "agent/task/one_line.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

using wire::ReasonResolved;

constexpr Duration kill_wait_max = seconds(20);  // until a killed container is gone
constexpr int create_tries_max = 2;
constexpr int hook_tries_max = 3;
constexpr Duration hook_retry_delay = seconds(2);

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
           fmt::format("{}/{}", settings.spool_directory, run_file_name(claim_.run, spool_extension)),
           [this] { return context_.signer; }),
      watch_(
          env, engine, log_, settings.log_bytes_max, [this] { watch_changed(); }, settings.engine_away),
      context_{env,
               engine,
               server,
               scope_,
               settings,
               claim_.run,
               claim_.expires,
               {},
               std::make_shared<const wire::HawkSigner>(claim_.credentials),
               log_,
               container,
               !container.empty()} {
  context_.task = claim_.task;
}

TaskRun::~TaskRun() = default;

json::object TaskRun::told_fields() const {
  return {{"taskId", claim_.run.task.to_string()}, {"runId", claim_.run.run}};
}

void TaskRun::tell_of(std::string_view event, json::object fields) {
  if (!settings_.observer) return;
  json::object all = told_fields();
  for (const auto& [name, value] : fields) all[name] = value;
  tell(settings_.observer, event, all);
}

void TaskRun::tell_state(std::string_view state, Duration since) {
  tell_of("task step", {{"step", state}, {"ms", (env_.uptime() - since).count()}});
}

void TaskRun::step(std::string name) { steps_.emplace_back(std::move(name), env_.now()); }

void TaskRun::stop(Stop why) {
  if (stop_ == Stop::none) stop_ = why;
  news_.notify_all();
}

void TaskRun::cancel() {
  if (!std::exchange(unwanted_, true)) tell_of("cancel task");
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
  co_await server_.queue().hide_log(claim_.run);
  co_await log_.settle();  // or the run could not be taken up again while the disk is slow
}

Async<> TaskRun::execute() {
  step("received");
  if (!context_.adopted) {
    json::object fields;
    if (claim_.created) fields["createdMsAgo"] = (server_.now() - *claim_.created).count();
    tell_of("claimed task", std::move(fields));
  }
  tell_of("task start");
  co_await unless_stopped(prepare());
  if (!ending_ && stop_ == Stop::none) {
    co_await (context_.adopted ? take_up_container() : start_container());
  }
  if (!ending_) {
    co_await wait_for_end();
    if (stop_ == Stop::none) co_await judge_exit();
    if (stop_ == Stop::none) {
      Duration since = env_.uptime();
      co_await unless_stopped(call_stopped_hooks());
      tell_state("stopped", since);
    }
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
    const Error& error = payload.error();
    wrong = error.hint().empty() ? error.message() : fmt::format("{}; {}", error.message(), error.hint());
  } else {
    context_.payload = std::move(payload).assume_value();
    wrong = objection(context_.payload, claim_);
  }
  if (wrong) {
    log_.start(scope_, context_.payload.log);
    co_await fail(ReasonResolved::malformed_payload, *wrong);
    co_return;
  }
  if (auto missing = not_available(context_.payload, server_.queue().native()); missing && !context_.adopted) {
    co_await fail(ReasonResolved::failed, *missing);
    co_return;
  }
  features_ = make_features(context_.payload);
  if (settings_.more_features) settings_.more_features(features_);
  context_.plan.image = context_.payload.image.name;
  std::optional<Error> failure;
  try {
    Duration since = env_.uptime();
    co_await call_hooks(&Feature::link);
    tell_state("linked", since);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    co_await fail_to_start("A feature of the task could not be set up", false, *failure);
    co_return;
  }
  if (context_.adopted) co_return;
  if (context_.superseded_by) {
    co_await fail(ReasonResolved::superseded, "Superseded by task " + *context_.superseded_by);
    co_return;
  }
  co_await log_header();
  co_await ensure_image();
}

/// Or the run has its ending.
Async<> TaskRun::ensure_image() {
  std::optional<Error> failure;
  try {
    Duration since = env_.uptime();
    tell_of("ensure image", {{"image", context_.payload.image.to_string()}});
    context_.image = co_await settings_.images->ensure(context_);
    tell_of("image ready", {{"image", context_.image->reference()}, {"ms", (env_.uptime() - since).count()}});
    context_.plan.image = context_.image->reference();
    step("image");
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) co_return;
  const std::string& planned = context_.plan.image;
  std::string image = planned.empty() ? context_.payload.image.to_string() : planned;
  co_await fail_to_start(fmt::format("Pulling docker image \"{}\" has failed", image), false, *failure);
}

/// What may pass is tried again: a server or an engine that is not there for a moment must not fail a task.
Async<> TaskRun::call_hooks(Hook hook) {
  for (auto& feature : features_) {
    const engine::ContainerSpec before = context_.plan;
    for (int attempt = 1;; ++attempt) {
      std::optional<Error> failure;
      try {
        co_await (*feature.*hook)(context_);
      } catch (const Error& error) {
        failure = error;
      }
      if (!failure) break;
      if (!may_retry(*failure) || attempt == hook_tries_max) throw *failure;
      context_.plan = before;
      co_await log_.line(fmt::format("{}; trying again", one_line(failure->message())));
      co_await env_.sleep(hook_retry_delay);
    }
  }
}

/// A name that is taken is left over from a claim that was taken back.
Async<> TaskRun::create_container() {
  for (int attempt = 1;; ++attempt) {
    std::optional<Error> failure;
    try {
      context_.container = co_await engine_.create_container(
          container_spec(settings_, claim_.run, context_.payload, context_.plan, server_.root_url()));
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
    Duration since = env_.uptime();
    co_await call_hooks(&Feature::created);
    tell_state("created", since);
    auto output = co_await engine_.attach(context_.container);
    co_await log_.line("=== Task Starting ===");
    if (log_.broken()) stop(Stop::log_broken);  // or a silent container would be reported without its log
    if (stop_ != Stop::none) co_return;
    step("starting");
    co_await engine_.start_container(context_.container);
    step("started");
    tell_of("task run");
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
    // By the agent that was here before, or with the engine: the task's memory limit alone is its own doing.
    killed_unwatched_ = !found.running && !never_started && !found.out_of_memory && was_signalled(found.exit_code);
    ran_ = found.finished - found.started;
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    stop(Stop::engine_lost);
  } else if (never_started) {
    // Killed between create and start: nothing has run yet.
    co_await unless_stopped(ensure_image());
    if (!ending_ && stop_ == Stop::none) co_await start_container();
  } else {
    if (!context_.plan.image.empty()) context_.image = settings_.images->used(context_.plan.image);
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
  if (killed_unwatched_) stop(ran_ >= context_.payload.max_run_time ? Stop::time_limit : Stop::killed_unwatched);
}

/// New credentials by the agent's own, for a run whose own ran out while the server could not be reached. False if the
/// run is no longer ours.
Async<bool> TaskRun::renew() {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("workerGroup", settings_.worker_group).field("workerId", settings_.worker_id);
  out.end_object();
  try {
    RenewedClaim renewed = co_await server_.queue().renew(settings_.agent_signer, claim_.run, std::move(body));
    claim_.taken_until = renewed.taken_until;
    context_.signer = std::make_shared<const wire::HawkSigner>(renewed.credentials);
  } catch (const Error& error) {
    co_return may_retry(error);
  }
  co_return true;
}

Async<> TaskRun::keep_claim() {
  for (;;) {
    Duration half = std::max<Duration>((claim_.taken_until - server_.now()) / 2, seconds(1));
    co_await env_.sleep(half);
    std::optional<Error> failure;
    Duration since = env_.uptime();
    tell_of("reclaiming task");
    try {
      RenewedClaim renewed = co_await server_.queue().reclaim(context_.signer, claim_.run);
      claim_.taken_until = renewed.taken_until;
      context_.signer = std::make_shared<const wire::HawkSigner>(renewed.credentials);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) {
      tell_of("reclaimed task", {{"ms", (env_.uptime() - since).count()}});
      continue;
    }
    tell_of("error reclaiming task", {{"error", failure->message()}});
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
