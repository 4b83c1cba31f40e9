#include "agent/host/worker_runner.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/host/limits.h"
#include "agent/host/runner_protocol.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

class WorkerRunnerHost : public Host {
 public:
  WorkerRunnerHost(Env& env, std::shared_ptr<RunnerPipes> pipes, std::function<void(const wire::HawkCredentials&)> use)
      : env_(env), pipes_(std::move(pipes)), use_(std::move(use)) {}

  ~WorkerRunnerHost() override { env_.cancel_call(welcome_timer_); }

  /// The runner tells nothing of the kind: it writes the agent's settings instead.
  Async<HostFacts> facts() override { co_return HostFacts(); }

  Async<HostNotice> wait_for_notice() override {
    if (!begun_) watch_for_welcome();
    begun_ = true;
    for (;;) {
      while (auto line = lines_.next()) {
        auto notice = take(*line);
        if (notice) co_return *notice;
      }
      std::string bytes = co_await pipes_->read_some();
      if (bytes.empty()) co_await run_dry();
      lines_.add(bytes);
    }
  }

  Async<bool> shut_down() override { co_return send_if("shutdown", runner_shutdown()); }

  Async<> report_error(std::string title, std::string description) override {
    send_if("error-report", runner_error_report(title, description));
    send_if("log", runner_log(fmt::format("{}: {}", title, description)));
    co_return;
  }

 private:
  void watch_for_welcome() {
    welcome_timer_ = env_.call_after(runner_welcome_max, [] {
      log_warning("worker-runner has not said welcome within {}: is the agent started by it?",
                  format_duration(runner_welcome_max));
    });
  }

  /// The runner is gone: whoever ends the machine now does it with a signal.
  Async<> run_dry() {
    log_warning("worker-runner has closed its side; the agent goes on without it");
    env_.cancel_call(welcome_timer_);
    common_.clear();
    for (;;) co_await never_.wait();
  }

  std::optional<HostNotice> take(const std::string& line) {
    auto message = parse_runner_line(line);
    if (!message) return std::nullopt;
    switch (message->kind) {
      case RunnerMessage::Kind::welcome: greet(message->capabilities); break;
      case RunnerMessage::Kind::graceful_termination:
        if (!can("graceful-termination")) break;
        return HostNotice{
            .finish_tasks = message->finish_tasks, .machine = false, .why = "worker-runner says to terminate"};
      case RunnerMessage::Kind::new_credentials:
        if (!can("new-credentials")) break;
        log_info("worker-runner has given new credentials");
        use_(message->credentials);
        break;
      case RunnerMessage::Kind::unknown: log_debug("a message of worker-runner is not known"); break;
    }
    return std::nullopt;
  }

  void greet(const std::vector<std::string>& offered) {
    if (greeted_) return;
    greeted_ = true;
    env_.cancel_call(welcome_timer_);
    std::vector<std::string> known = {"graceful-termination", "shutdown", "error-report", "log"};
    if (use_) known.emplace_back("new-credentials");
    std::vector<std::string> common;
    for (std::string& name : known) {
      if (std::ranges::find(offered, name) != offered.end()) common.push_back(std::move(name));
    }
    if (send(runner_hello(common))) common_ = std::move(common);
  }

  bool can(std::string_view capability) const { return std::ranges::find(common_, capability) != common_.end(); }

  bool send_if(std::string_view capability, const std::string& line) { return can(capability) && send(line); }

  bool send(const std::string& line) {
    bool sent = pipes_->write(line);
    if (!sent) log_warning("worker-runner does not read what it is told");
    return sent;
  }

  Env& env_;
  std::shared_ptr<RunnerPipes> pipes_;
  std::function<void(const wire::HawkCredentials&)> use_;
  RunnerLines lines_;
  std::vector<std::string> common_;  // capabilities
  bool begun_ = false;
  bool greeted_ = false;
  TimerId welcome_timer_ = 0;
  Event never_;
};

}  // namespace

std::shared_ptr<Host> make_worker_runner_host(Env& env, std::shared_ptr<RunnerPipes> pipes,
                                              std::function<void(const wire::HawkCredentials&)> use) {
  return std::make_shared<WorkerRunnerHost>(env, std::move(pipes), std::move(use));
}

}  // namespace gantry::agent
