#include "cli/dev.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "cli/agent_life.h"
#include "cli/agent_process.h"
#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

constexpr Duration stop_grace = seconds(2);  // for followers of logs: they connect again to the next server

/// The whole of it, in the order in which it starts.
class Dev {
 public:
  Dev(Env& env, const DevSettings& settings)
      : env_(env),
        settings_(settings),
        server_(env, {settings.data, settings.listener, settings.pulse_url, settings.event_log_bytes_max}) {}

  Async<int> run(Interrupts& interrupts);

 private:
  void start_agent();
  void greet() const;

  Env& env_;
  const DevSettings& settings_;
  ServerProcess server_;
  std::unique_ptr<AgentProcess> agent_;
};

void Dev::start_agent() {
  AgentProcessSettings process;
  process.agent.data_directory = settings_.data.agent();
  process.agent.task_queue = settings_.task_queue;
  process.agent.slots = settings_.slots;
  process.agent.registries = settings_.registries;
  process.agent.allow_privileged = settings_.allow_privileged;
  process.agent.surroundings = settings_.surroundings;
  process.agent.signing_key = settings_.signing_key;
  process.agent.secrets_key = settings_.secrets_key;
  process.agent.restrict_cpu = settings_.restrict_cpu;
  if (settings_.log_bytes_max > 0) process.agent.log_bytes_max = settings_.log_bytes_max;
  process.server = server_.endpoint();
  process.engine_url = settings_.engine_url;
  agent_ = std::make_unique<AgentProcess>(env_, std::move(process), server_.root());
  agent_->start();
}

void Dev::greet() const {
  Style style(STDOUT_FILENO);
  std::string with_data = settings_.data_was_named ? fmt::format(" --data-dir {}", settings_.data.path) : "";
  print(fmt::format("Gantry {} listens on {}\n", GANTRY_VERSION, style.bold(server_.url())));
  print(fmt::format("  data      {}\n", settings_.data.path));
  print(fmt::format("  engine    {}\n", settings_.engine_url));
  print(fmt::format("  queue     {}\n", settings_.task_queue));
  std::string queue = settings_.task_queue == "local/default" ? "" : " --queue " + settings_.task_queue;
  print(
      fmt::format("\nTry, in another terminal:\n  gantry run{}{} debian:12 echo hello\n\nCtrl-C stops it; what runs is "
                  "taken up again at the next start.\n",
                  with_data, queue));
}

Async<int> Dev::run(Interrupts& interrupts) {
  server_.open();
  prepare_signals(settings_.on_stop, interrupts);
  std::exception_ptr failure;
  try {
    server_.start();
    start_agent();
    greet();
    co_await interrupts.wait(env_);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) say(stopping_line(settings_.on_stop));
  if (agent_) co_await stop_agent(env_, *agent_, settings_.on_stop, interrupts);
  co_await server_.stop(stop_grace);
  if (failure) std::rethrow_exception(failure);
  co_return exit_ok;
}

/// One object a process; it lives until the io_context has stopped.
Async<int> dev_main(Env& env, const DevSettings& settings, Interrupts& interrupts) {
  auto dev = std::make_unique<Dev>(env, settings);
  co_return co_await dev->run(interrupts);
}

}  // namespace

int run_dev(const DevSettings& settings) {
  Interrupts interrupts;
  ::signal(SIGPIPE, SIG_IGN);  // a closed terminal must not end the server
  check_listener(settings.listener, "start gantry server with --tls-cert and --tls-key instead");
  try {
    return run_to_end([&](Env& env) { return dev_main(env, settings, interrupts); });
  } catch (const Error& error) {
    throw in_use(error, settings.data.path);
  }
}

}  // namespace gantry::cli
