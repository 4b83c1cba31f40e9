#include "cli/dev.h"

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/log.h"
#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "engine/docker/docker_engine.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "object/file_store.h"
#include "server/server.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry::cli {
namespace {

constexpr Duration stop_grace = seconds(2);  // for followers of logs: they connect again to the next server

struct ListenAddress {
  std::string host;  // without brackets
  bool loopback = false;
  bool any = false;
};

/// What HttpServer will make of it; it refuses what is malformed.
ListenAddress read_listen_address(const std::string& listen) {
  ListenAddress address;
  address.host = listen.substr(0, listen.rfind(':'));
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  if (address.host == "localhost") address.host = "127.0.0.1";
  boost::system::error_code wrong;
  auto parsed = asio::ip::make_address(address.host, wrong);
  address.loopback = !wrong && parsed.is_loopback();
  address.any = !wrong && parsed.is_unspecified();
  return address;
}

void check_listen_address(const DevSettings& settings) {
  if (settings.insecure || read_listen_address(settings.listen).loopback) return;
  throw Error(ErrorCode::invalid_input,
              fmt::format("{} can be reached from other machines, and nothing would be encrypted", settings.listen),
              "listen on 127.0.0.1, or add --insecure if the network is trusted");
}

/// Where this machine reaches the server.
net::Endpoint local_endpoint(const std::string& listen, int port) {
  ListenAddress address = read_listen_address(listen);
  net::Endpoint endpoint;
  endpoint.host = address.host;
  if (address.any) endpoint.host = address.host.find(':') == std::string::npos ? "127.0.0.1" : "::1";
  endpoint.port = port;
  return endpoint;
}

/// The whole of it, in the order in which it starts.
class Dev {
 public:
  Dev(Env& env, const DevSettings& settings) : env_(env), settings_(settings), scope_(env.executor(), "dev") {}

  Async<int> run(Interrupts& interrupts);

 private:
  void open();
  void start_agent();
  void greet() const;
  Async<> check_engine();
  Async<> stop();

  Env& env_;
  const DevSettings& settings_;
  Scope scope_;
  wire::HawkCredentials credentials_;
  net::Endpoint endpoint_;
  std::unique_ptr<object::ObjectStore> objects_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<net::HttpServer> http_;
  std::shared_ptr<engine::Engine> engine_;
  std::unique_ptr<agent::Agent> agent_;
};

/// Everything that may refuse to start, before anything runs.
void Dev::open() {
  const DataDirectory& data = settings_.data;
  make_data_directory(data);
  credentials_ = read_or_make_credentials(env_, data);
  objects_ = object::make_file_store(env_, data.objects());
  server::ServerSettings server;
  server.root = {credentials_.client_id, credentials_.access_token};
  server.log_directory = data.logs();
  auto open_store = [path = data.database()]() -> std::shared_ptr<store::Store> { return store::open_sqlite(path); };
  server_ = std::make_unique<server::Server>(env_, std::move(server), open_store, objects_.get());
  http_ = std::make_unique<net::HttpServer>(env_, settings_.listen, *server_);
  endpoint_ = local_endpoint(settings_.listen, http_->port());
  server_->start();
}

void Dev::start_agent() {
  agent::AgentSettings agent;
  agent.data_directory = settings_.data.agent();
  agent.server_host = endpoint_.host.find(':') == std::string::npos ? endpoint_.host : "[" + endpoint_.host + "]";
  agent.server_port = static_cast<std::uint16_t>(endpoint_.port);
  agent.credentials = credentials_;
  agent.task_queue = settings_.task_queue;
  agent.slots = settings_.slots;
  if (settings_.log_bytes_max > 0) agent.log_bytes_max = settings_.log_bytes_max;
  engine_ = engine::make_docker_engine(env_, settings_.engine_url);
  agent_ = std::make_unique<agent::Agent>(env_, std::move(agent), net::make_http_client(env_, endpoint_), engine_);
  agent_->start();
}

void Dev::greet() const {
  Style style(STDOUT_FILENO);
  std::string url = endpoint_.to_string();
  std::string with_data = settings_.data_was_named ? fmt::format(" --data-dir {}", settings_.data.path) : "";
  print(fmt::format("Gantry {} listens on {}\n", GANTRY_VERSION, style.bold(url)));
  print(fmt::format("  data      {}\n", settings_.data.path));
  print(fmt::format("  engine    {}\n", settings_.engine_url));
  print(fmt::format("  queue     {}\n", settings_.task_queue));
  std::string queue = settings_.task_queue == "local/default" ? "" : " --queue " + settings_.task_queue;
  print(
      fmt::format("\nTry, in another terminal:\n  gantry run{}{} debian:12 echo hello\n\nCtrl-C stops it; what runs is "
                  "taken up again at the next start.\n",
                  with_data, queue));
}

Async<> Dev::check_engine() {
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

Async<> Dev::stop() {
  if (agent_) co_await agent_->stop(settings_.abort_tasks);
  // Both at once: the server lets its long polls answer while no new connection comes in.
  scope_.spawn("http", http_->stop(stop_grace));
  co_await server_->stop();
  co_await scope_.join();
}

Async<int> Dev::run(Interrupts& interrupts) {
  open();
  http_->start();
  std::exception_ptr failure;
  try {
    write_private_file(settings_.data.endpoint(), endpoint_.to_string() + "\n");
    start_agent();
    greet();
    scope_.spawn("engine check", check_engine());
    co_await interrupts.wait(env_);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) say(settings_.abort_tasks ? "gantry: stopping, running tasks are aborted" : "gantry: stopping");
  scope_.cancel();
  co_await scope_.join();
  co_await stop();
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
  check_listen_address(settings);
  try {
    return run_to_end([&](Env& env) { return dev_main(env, settings, interrupts); });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::conflict) throw;
    throw Error(error.code(), fmt::format("another gantry runs on {}: {}", settings.data.path, error.message()),
                "use that one, or give this one a directory of its own with --data-dir");
  }
}

}  // namespace gantry::cli
