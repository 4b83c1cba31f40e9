#include "cli/agent_process.h"

#include <cstdlib>

#include "base/log.h"
#include "cli/terminal.h"
#include "engine/docker/docker_engine.h"

namespace gantry::cli {
namespace {

std::string host_of(const net::Endpoint& endpoint) {
  return endpoint.host.find(':') == std::string::npos ? endpoint.host : "[" + endpoint.host + "]";
}

/// Of the engine; empty if it is this one.
std::string other_machine(const std::string& engine_url) {
  auto engine = net::parse_endpoint(engine_url);
  if (!engine || engine.value().kind != net::Endpoint::Kind::tcp) return "";
  const std::string& host = engine.value().host;
  bool here = host == "localhost" || host == "::1" || host.starts_with("127.");
  return here ? "" : host;
}

agent::AgentSettings agent_settings(const AgentProcessSettings& settings, agent::Observer observer,
                                    wire::HawkCredentials credentials) {
  agent::AgentSettings agent = settings.agent;
  agent.server_host = host_of(settings.server);
  agent.server_port = static_cast<std::uint16_t>(settings.server.port);
  agent.server_tls = settings.server.tls;
  agent.tls_files = settings.server.tls_files;
  agent.credentials = std::move(credentials);
  agent.observer = std::move(observer);
  if (agent.task_host.empty()) agent.task_host = other_machine(settings.engine_url);
  return agent;
}

}  // namespace

AgentProcessSettings under(AgentProcessSettings settings, const wire::Enrolment& enrolment) {
  settings.agent.task_queue = enrolment.task_queue;
  settings.agent.worker_group = enrolment.worker_group;
  settings.agent.worker_id = enrolment.worker_id;
  return settings;
}

AgentProcess::AgentProcess(Env& env, AgentProcessSettings settings, wire::HawkCredentials credentials)
    : env_(env),
      settings_(std::move(settings)),
      transport_(net::make_http_client(env, settings_.server)),
      engine_(engine::make_docker_engine(env, settings_.engine_url)),
      events_(env, settings_.agent),
      agent_(std::make_unique<agent::Agent>(env, agent_settings(settings_, events_.observer(), std::move(credentials)),
                                            transport_, engine_)),
      scope_(env.executor(), "agent process") {}

AgentProcess::AgentProcess(Env& env, AgentProcessSettings settings, wire::Enrolment enrolment)
    : AgentProcess(env, under(std::move(settings), enrolment), enrolment.credentials) {
  enrolment_ = std::move(enrolment);
}

void AgentProcess::start() {
  events_.start();
  agent_->start();
  scope_.spawn("engine check", check_engine());
  if (enrolment_) scope_.spawn("renewal", renew());
}

Async<> AgentProcess::renew() {
  auto server = server_api(env_, settings_.server);
  const std::string& directory = settings_.agent.data_directory;
  auto use = [this](const wire::HawkCredentials& credentials) { agent_->use_credentials(credentials); };
  co_await agent::keep_enrolled(*server, directory, agent::agent_id(env_, directory), *enrolment_, use);
}

Async<> AgentProcess::check_engine() {
  std::exception_ptr failure;
  try {
    co_await engine_->info();
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure || is_cancelled(failure)) co_return;
  Error error = error_of(failure);
  log_warning("the container engine {} does not answer, so tasks wait until it does: {}", settings_.engine_url,
              error.message());
  say("        start Docker, or name another engine with --engine or DOCKER_HOST");
}

Async<> AgentProcess::stop(agent::OnStop how) {
  // Last, for tasks that are to finish need credentials that are renewed.
  co_await agent_->stop(how);
  scope_.cancel();
  co_await scope_.join();
  co_await events_.stop();
}

std::shared_ptr<agent::ServerApi> server_api(Env& env, const net::Endpoint& server) {
  return std::make_shared<agent::ServerApi>(env, net::make_http_client(env, server, 1), host_of(server),
                                            static_cast<std::uint16_t>(server.port), server.tls, server.tls_files);
}

std::string engine_url(const std::string& chosen) {
  if (!chosen.empty()) return chosen;
  if (const char* host = std::getenv("DOCKER_HOST"); host && *host) return host;
  return "unix:///var/run/docker.sock";
}

}  // namespace gantry::cli
