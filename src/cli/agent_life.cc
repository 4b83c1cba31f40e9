#include "cli/agent_life.h"

#include <cerrno>

#include <fmt/format.h>
#include <poll.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent/host/aws.h"
#include "agent/host/file_host.h"
#include "agent/host/life.h"
#include "agent/host/worker_runner.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/standard_streams.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

class StandardPipes : public agent::RunnerPipes {
 public:
  explicit StandardPipes(Env& env) : ready_(env, STDIN_FILENO, Readiness::For::reading) {}

  Async<std::string> read_some() override { return read_input(ready_, STDIN_FILENO); }

  bool write(std::string_view line) override {
    struct ::pollfd wanted{STDOUT_FILENO, POLLOUT, 0};
    if (::poll(&wanted, 1, 0) != 1 || (wanted.revents & POLLOUT) == 0) return false;
    try {
      write_all(STDOUT_FILENO, line);
    } catch (const Error&) {
      return false;
    }
    return true;
  }

 private:
  Readiness ready_;
};

Duration machine_up() {
  struct ::sysinfo info{};
  return ::sysinfo(&info) == 0 ? Duration(seconds(info.uptime)) : Duration::zero();
}

Async<> hurry_on_signal(Env& env, Interrupts& interrupts, int signals, agent::Agent& agent) {
  co_await interrupts.wait(env, signals);
  say("gantry: running tasks are handed back");
  agent.hand_back();
}

Async<> hurry_on_notice(agent::Life& life, agent::Agent& agent) {
  co_await life.wait_for_haste();
  log_info("no time is left: running tasks are handed back");
  agent.hand_back();
}

Async<> note_signal(Env& env, Interrupts& interrupts, Event& news) {
  co_await interrupts.wait(env);
  news.notify_all();
}

/// So many signals in all end the patience with tasks. `life` may be null.
Async<> stop_watched(Env& env, AgentProcess& agent, agent::OnStop how, Interrupts& interrupts, int signals,
                     agent::Life* life) {
  Scope scope(env.executor(), "stop");
  if (how == agent::OnStop::finish) {
    scope.spawn("signals", hurry_on_signal(env, interrupts, signals, agent.agent()));
    if (life) scope.spawn("host", hurry_on_notice(*life, agent.agent()));
  }
  std::exception_ptr failure;
  try {
    co_await agent.stop(how);
  } catch (...) {
    failure = std::current_exception();
  }
  scope.cancel();
  co_await scope.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

std::string stopping_line(agent::OnStop how) {
  switch (how) {
    case agent::OnStop::leave: break;
    case agent::OnStop::hand_back: return "gantry: stopping, running tasks are handed back";
    case agent::OnStop::finish: return "gantry: stopping once the running tasks have ended";
  }
  return "gantry: stopping";
}

void prepare_signals(agent::OnStop how, Interrupts& interrupts) {
  if (how == agent::OnStop::finish) interrupts.let_ask(2);
}

Async<> stop_agent(Env& env, AgentProcess& agent, agent::OnStop how, Interrupts& interrupts) {
  return stop_watched(env, agent, how, interrupts, 2, nullptr);
}

std::shared_ptr<agent::Host> make_host(Env& env, const agent::AgentSettings& settings,
                                       std::function<void(const wire::HawkCredentials&)> use) {
  const std::string& kind = settings.host.kind;
  if (kind == "standalone") return agent::make_standalone_host();
  if (kind == "worker-runner") {
    return agent::make_worker_runner_host(env, std::make_shared<StandardPipes>(env), std::move(use));
  }
  if (kind == "test") {
    if (settings.host.file.empty())
      throw UsageError("--host test needs the file that describes the machine: --host-file");
    return agent::make_file_host(env, settings.host.file);
  }
  if (kind == "aws") {
    const std::string& url = settings.shutdown.metadata_url;
    auto endpoint = net::parse_endpoint(url.empty() ? agent::aws_metadata_url : url);
    if (!endpoint) throw endpoint.error().in("URL of the instance metadata");
    std::string header = endpoint.value().host_header();
    return agent::make_aws_host(env, net::make_http_client(env, std::move(endpoint).value(), 1), std::move(header));
  }
  throw UsageError(fmt::format("there is no host \"{}\"", kind), "choose standalone, aws, test or worker-runner");
}

void apply_facts(const agent::HostFacts& facts, agent::AgentSettings& settings) {
  auto take = [](std::string& setting, const std::string& fact) {
    if (setting.empty()) setting = fact;
  };
  take(settings.name, facts.worker_id);
  take(settings.worker_id, facts.worker_id);
  take(settings.metrics.worker_node_type, facts.node_type);
  take(settings.public_name, facts.public_name);
  bool group_is_default = settings.worker_group == agent::AgentSettings().worker_group;
  if (group_is_default && !facts.worker_group.empty()) settings.worker_group = facts.worker_group;
}

Async<int> live(Env& env, AgentProcess& agent, std::shared_ptr<agent::Host> host, const agent::AgentSettings& settings,
                Interrupts& interrupts) {
  prepare_signals(settings.on_stop, interrupts);
  auto load = [&agent] { return agent::Load{agent.agent().running(), agent.agent().begun()}; };
  agent::ShutdownSettings shutdown = settings.shutdown;
  if (!shutdown.observer) shutdown.observer = agent.events().observer();
  agent::Life life(env, shutdown, host, machine_up(), load);
  Scope scope(env.executor(), "life");
  life.start(scope);
  scope.spawn("signals", note_signal(env, interrupts, life.news()));
  while (!life.ending() && !interrupts.requested()) co_await life.news().wait();
  scope.cancel();
  co_await scope.join();
  if (!life.ending()) {
    say(stopping_line(settings.on_stop));
    co_await stop_watched(env, agent, settings.on_stop, interrupts, 2, &life);
    co_return exit_ok;
  }
  agent::Ending ending = *life.ending();
  say(fmt::format("gantry: stopping: {}", ending.why));
  co_await stop_watched(env, agent, ending.tasks, interrupts, 1, &life);
  if (!ending.machine) co_return exit_ok;
  co_return co_await life.shut_down();
}

}  // namespace gantry::cli
