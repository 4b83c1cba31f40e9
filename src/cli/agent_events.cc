#include "cli/agent_events.h"

#include <poll.h>
#include <unistd.h>

#include "agent/statsd.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

/// A reader that does not keep up, or has gone, must not hold the agent up: the line is dropped.
void print_line(const std::string& line) {
  struct ::pollfd wanted{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&wanted, 1, 0) != 1 || (wanted.revents & POLLOUT) == 0) return;
  try {
    write_all(STDOUT_FILENO, line);
  } catch (const Error&) {
    return;
  }
}

}  // namespace

AgentEvents::AgentEvents(Env& env, const agent::AgentSettings& settings) : env_(env), print_(settings.metrics.events) {
  const agent::MetricsSettings& metrics = settings.metrics;
  if (metrics.statsd_url.empty()) return;
  sender_ = std::make_unique<agent::UdpSender>(env, agent::parse_udp_target(metrics.statsd_url));
  std::string prefix =
      agent::statsd_prefix(metrics.statsd_prefix, settings.task_queue, settings.worker_group, metrics.worker_node_type);
  agent::UdpSender* sender = sender_.get();
  statsd_ = agent::statsd_observer(std::move(prefix), [sender](std::string line) { sender->send(std::move(line)); });
}

agent::Observer AgentEvents::observer() {
  if (!print_ && !statsd_) return nullptr;
  return [this](std::string_view event, const json::object& fields) {
    if (print_) print_line(agent::event_line(env_.now(), event, fields));
    if (statsd_) statsd_(event, fields);
  };
}

void AgentEvents::start() {
  if (sender_) sender_->start();
}

Async<> AgentEvents::stop() {
  if (sender_) co_await sender_->stop();
}

}  // namespace gantry::cli
