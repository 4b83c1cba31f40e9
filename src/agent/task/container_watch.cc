#include "agent/task/container_watch.h"

#include <fmt/format.h>

#include "agent/limits.h"
#include "base/log.h"
#include "base/planted.h"

namespace gantry::agent {
namespace {

constexpr Duration retry_pause = seconds(1);
constexpr Duration output_silence_max = seconds(10);     // of an exited container whose output has not ended
constexpr Duration silence_before_end_max = seconds(2);  // of a stream that is believed to be whole
constexpr Duration exit_follows_end = seconds(2);        // output ends, and then the engine tells the exit code
constexpr Duration exit_follows_state = seconds(20);     // and so it does once a container is seen not to run
constexpr Duration probe_prompt = seconds(2);  // an engine that is not being stopped takes a connection by then
constexpr int output_tries_after_exit = 3;

}  // namespace

bool was_signalled(int exit_code) { return exit_code == 128 + 15 || exit_code == 128 + 9; }

ContainerWatch::ContainerWatch(Env& env, engine::Engine& engine, RunLog& log, std::int64_t log_bytes_max,
                               std::function<void()> changed, std::function<void()> engine_away)
    : env_(env),
      engine_(engine),
      log_(log),
      log_bytes_max_(log_bytes_max),
      changed_(std::move(changed)),
      engine_away_(std::move(engine_away)) {}

void ContainerWatch::begin(Scope& scope, std::string container, std::shared_ptr<engine::OutputStream> output) {
  container_ = std::move(container);
  state_ = State::running;
  scope.spawn("output", copy_output(std::move(output)));
  scope.spawn("wait", watch());
}

void ContainerWatch::enter(State state) {
  bool of_log = state == State::log_full || state == State::log_broken;
  if (state_ != State::running && !(of_log && state_ == State::exited)) return;
  state_ = state;
  exited_.notify_all();
  changed_();
}

Async<> ContainerWatch::watch() {
  std::optional<Duration> lost_since;
  for (;;) {
    bool over = co_await wait_once(lost_since.has_value());
    if (over) co_return;
    engine_away_();
    if (!lost_since) lost_since = env_.uptime();
    if (env_.uptime() - *lost_since > engine_patience) break;
    co_await env_.sleep(retry_pause);
    bool running = co_await runs_still();
    if (running) lost_since.reset();
  }
  enter(State::engine_lost);
}

/// True once it is known how the container ended; false if the engine went away meanwhile. `interrupted`: it has been
/// away and the container was not seen running since.
Async<bool> ContainerWatch::wait_once(bool interrupted) {
  std::optional<Error> failure;
  int code = 0;
  try {
    code = co_await engine_.wait_container(container_);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure && failure->code() != ErrorCode::not_found) {
    if (!interrupted) log_warning("{}", failure->message());
    co_return false;
  }
  bool in_doubt = !failure && !interrupted && !planted(PlantedBug::engine_stop_blames_task);
  if (in_doubt) interrupted = !co_await engine_is_staying(code);
  if (failure || interrupted) {
    enter(State::engine_lost);
    co_return true;
  }
  exit_code_ = code;
  exited_.notify_all();  // after log_full or log_broken, too, somebody waits for it
  enter(State::exited);
  co_return true;
}

Async<bool> ContainerWatch::runs_still() {
  try {
    co_return (co_await engine_.inspect_container(container_)).running;
  } catch (const Error&) {
    co_return false;
  }
}

/// False if the engine is being stopped: it ends its containers, and answers on old connections until it is gone.
Async<bool> ContainerWatch::engine_is_staying(int exit_code) {
  Duration asked = env_.uptime();
  try {
    co_await engine_.probe();
  } catch (const Error&) {
    engine_away_();
    co_return false;
  }
  bool prompt = env_.uptime() - asked < probe_prompt;
  co_return prompt || !was_signalled(exit_code);
}

Async<> ContainerWatch::pump(std::shared_ptr<engine::OutputStream> output,
                             std::array<std::int64_t, Spool::streams> skip) {
  for (;;) {
    engine::Output piece = co_await output->read();
    if (piece.bytes.empty()) co_return;
    last_output_ = env_.uptime();
    output_bytes_ += static_cast<std::int64_t>(piece.bytes.size());
    output_news_.notify_all();
    std::int64_t& left = skip[static_cast<std::size_t>(piece.stream)];
    auto skipped = std::min<std::int64_t>(left, static_cast<std::int64_t>(piece.bytes.size()));
    left -= skipped;
    piece.bytes.erase(0, static_cast<std::size_t>(skipped));
    if (piece.bytes.empty()) continue;
    bool fits = log_.bytes() + static_cast<std::int64_t>(piece.bytes.size()) <= log_bytes_max_;
    if (fits) co_await log_.write(piece.stream, std::move(piece.bytes));
    if (fits && !log_.broken()) continue;
    enter(fits ? State::log_broken : State::log_full);
    co_return;
  }
}

/// If the connection to the engine breaks, what is missing comes from the engine's own log. Docker ends a followed log
/// with its container, at times before the last line: only one that is read after the exit is whole.
Async<> ContainerWatch::copy_output(std::shared_ptr<engine::OutputStream> output) {
  bool attached = output != nullptr;
  bool whole_at_end = attached;
  last_output_ = env_.uptime();
  int tries_after_exit = 0;
  while (state_ == State::running || (state_ == State::exited && tries_after_exit++ < output_tries_after_exit)) {
    std::optional<Error> failure;
    try {
      std::array<std::int64_t, Spool::streams> skip{};
      if (!output) {
        if (!planted(PlantedBug::adoption_repeats_log)) skip = {0, log_.spooled(1), log_.spooled(2)};
        whole_at_end = state_ == State::exited;
        output = co_await engine_.logs(container_, !whole_at_end);
      }
      co_await pump(output, skip);
    } catch (const Error& error) {
      failure = error;
    }
    output = nullptr;
    if (failure) {
      log_warning("{}", failure->message());
      co_await env_.sleep(retry_pause);
      continue;
    }
    // An engine that is killed ends its streams like a container that ends. If nothing was heard for some time before
    // that, it may be long ago, and this process may have stood still: then the engine's own log is asked, too.
    if (std::exchange(attached, false) && env_.uptime() - last_output_ > silence_before_end_max) whole_at_end = false;
    co_await await_exit(exit_follows_end);
    output_whole_ = whole_at_end && state_ == State::exited;
    if (output_whole_) break;
  }
  output_ended_ = true;
  output_news_.notify_all();
}

Async<> ContainerWatch::await_exit(Duration patience) {
  Duration until = env_.uptime() + patience;
  while (!exit_code_ && state_ != State::engine_lost && env_.uptime() < until) {
    co_await exited_.wait_for(env_, until - env_.uptime());
  }
}

Async<bool> ContainerWatch::ended_within(Duration limit) {
  bool ended = false;
  bool known = false;
  Duration until = env_.uptime() + engine_patience;
  while (!known && state_ == State::running && env_.uptime() < until) {
    try {
      engine::ContainerState found = co_await engine_.inspect_container(container_);
      known = true;
      ended = !found.running && found.finished - found.started <= limit;
    } catch (const Error& error) {
      log_warning("{}", error.message());
    }
    if (!known) co_await exited_.wait_for(env_, retry_pause);
  }
  if (!known) co_return exit_code_ || state_ == State::engine_lost;
  if (ended) co_await await_exit(exit_follows_state);
  co_return ended && (exit_code_ || state_ == State::engine_lost);
}

Async<bool> ContainerWatch::drain() {
  if (!exit_code_) co_return false;
  if (planted(PlantedBug::report_before_log_end)) co_return true;
  Duration until = env_.uptime() + output_silence_max;
  std::int64_t seen = output_bytes_;
  while (!output_ended_ && env_.uptime() < until) {
    co_await output_news_.wait_for(env_, until - env_.uptime());
    if (output_bytes_ != seen) until = env_.uptime() + output_silence_max;
    seen = output_bytes_;
  }
  co_return output_whole_ || state_ != State::exited;
}

}  // namespace gantry::agent
