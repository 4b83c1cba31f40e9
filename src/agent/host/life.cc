#include "agent/host/life.h"

#include <fmt/format.h>

#include "agent/host/limits.h"
#include "agent/run_program.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr std::size_t output_shown_bytes_max = 1000;

ShutdownSettings checked(ShutdownSettings settings) {
  check(settings);
  return settings;
}

}  // namespace

Life::Life(Env& env, ShutdownSettings settings, std::shared_ptr<Host> host, Duration machine_up,
           std::function<Load()> load)
    : env_(env),
      settings_(checked(std::move(settings))),
      host_(std::move(host)),
      up_since_(env.uptime() - machine_up),
      load_(std::move(load)),
      idle_(settings_) {}

void Life::start(Scope& scope) {
  scope.spawn("host", watch_host());
  scope.spawn("idleness", watch_idleness());
}

Async<> Life::wait_for_haste() {
  for (;;) {
    HostNotice notice = co_await host_->wait_for_notice();
    if (!notice.finish_tasks) co_return;
    // A host that gives the same notice at once, again and again, is looked at no more often than that.
    co_await env_.sleep(notice_interval);
  }
}

void Life::end(Ending ending) {
  if (ending_) return;
  log_info("the agent ends: {}", ending.why);
  ending_ = std::move(ending);
  news_.notify_all();
}

void Life::tell(std::string_view event, json::object fields) {
  if (settings_.observer) settings_.observer(event, fields);
}

Async<> Life::watch_host() {
  HostNotice notice = co_await host_->wait_for_notice();
  end({notice.finish_tasks ? OnStop::finish : OnStop::hand_back, notice.machine, std::move(notice.why)});
}

Async<> Life::watch_idleness() {
  if (!settings_.enabled && !settings_.observer) co_return;
  for (;;) {
    look(load_());
    if (idle_.due(machine_up())) {
      tell("shutdown");
      // A task that was claimed in this moment is finished.
      end({OnStop::finish, true, "nothing to do"});
      co_return;
    }
    co_await env_.sleep(idle_tick);
  }
}

void Life::look(Load load) {
  bool was_idle = idle_.is_idle();
  bool worked = load.running > 0 || load.begun != begun_;
  begun_ = load.begun;
  if (worked) {
    bool was_pending = idle_.busy();
    if (was_pending) tell("cancel pending shutdown");
    if (was_idle) tell("worker working");
  }
  if (load.running > 0 || idle_.is_idle()) return;
  auto wait = idle_.idle(machine_up());
  tell("worker idle");
  if (!wait) return;
  log_debug("nothing to do: the machine is given up in {}", format_duration(*wait));
  tell("pending shutdown", {{"time", std::chrono::ceil<seconds>(*wait).count()}});
}

Async<int> Life::shut_down() {
  bool done = co_await host_->shut_down();
  if (done || settings_.command.empty()) co_return 0;
  int code = co_await run_command();
  if (code == 0) co_return 0;
  std::string what = fmt::format("{} failed with exit code {}", settings_.command, code);
  log_error("the machine could not be given up: {}", what);
  co_await host_->report_error("the machine could not be given up", what);
  co_return code;
}

Async<int> Life::run_command() {
  log_info("giving the machine up: {}", settings_.command);
  std::optional<Error> failure;
  ProgramResult result;
  try {
    result = co_await env_.blocking(
        [command = settings_.command] { return run_program({"sh", "-c", command}, shutdown_command_max); });
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) log_error("{}", failure->message());
  if (!result.output.empty()) log_info("it says: {}", result.output.substr(0, output_shown_bytes_max));
  co_return failure ? 1 : result.exit_code;
}

}  // namespace gantry::agent
