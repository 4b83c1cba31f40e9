#include <cstdlib>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "agent/enrolment.h"
#include "agent/limits.h"
#include "base/files.h"
#include "base/log.h"
#include "cli/agent_life.h"
#include "cli/agent_process.h"
#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/commands/foreign.h"
#include "cli/commands/life_options.h"
#include "cli/commands/surroundings.h"
#include "cli/credentials.h"
#include "cli/interrupt.h"
#include "cli/settings/agent_settings.h"
#include "cli/terminal.h"
#include "wire/task_definition.h"

namespace gantry::cli {
namespace {

constexpr std::string_view token_hint =
    "make one on the server with: gantry node token, and start with --join-token-file FILE or $GANTRY_JOIN_TOKEN";

struct Wanted {
  Arguments typed;
  AgentProcessSettings process;
  std::string pool;  // empty: the token says
  std::string name;
  std::string token_file;
  std::optional<wire::Enrolment> foreign;  // of a worker for a foreign Taskcluster: it does not join
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// Never from the command line, where everybody on the machine could read it.
std::string join_token(const Wanted& wanted) {
  std::string token = variable("GANTRY_JOIN_TOKEN");
  if (!wanted.token_file.empty()) token = read_text_file(wanted.token_file, wire::join_token_bytes_max);
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  return token;
}

std::string worker_id_of(const std::string& name) {
  if (name.empty() || wire::is_identifier(name)) return name;
  throw UsageError(fmt::format("--name \"{}\" cannot be a worker's name", name), "use 1 to 38 of [a-zA-Z0-9-_]");
}

/// Of a node that was removed, or by another server's root. Who cannot be reached has not refused.
Async<bool> is_refused(Env& env, const Wanted& wanted, const wire::Enrolment& known) {
  auto server = server_api(env, wanted.process.server);
  NodeId node = agent::agent_id(env, wanted.process.agent.data_directory);
  auto signer = std::make_shared<const wire::HawkSigner>(known.credentials);
  try {
    co_await server->post_json(signer, fmt::format("/v1/nodes/{}/renew", node.to_string()), "{}",
                               agent::request_timeout);
  } catch (const Error& error) {
    co_return error.code() == ErrorCode::not_authenticated;
  }
  co_return false;
}

/// The credentials that there are, unless they have expired, or there is a token and the server does not take them.
Async<wire::Enrolment> enrol(Env& env, const Wanted& wanted) {
  if (wanted.foreign) co_return *wanted.foreign;
  const std::string& directory = wanted.process.agent.data_directory;
  auto known = agent::read_enrolment(directory);
  bool live = known && known->expires > env.now();
  std::string token = join_token(wanted);
  if (live && token.empty()) co_return *known;
  bool refused = live && co_await is_refused(env, wanted, *known);
  if (live && !refused) co_return *known;
  if (token.empty()) {
    throw Error(ErrorCode::not_authenticated,
                known ? "this machine's credentials have expired, and there is no join token"
                      : "this machine has no credentials yet, and there is no join token",
                std::string(token_hint));
  }
  auto server = server_api(env, wanted.process.server);
  wire::JoinRequest request;
  request.token = std::move(token);
  request.node = agent::agent_id(env, directory);
  request.worker_id = worker_id_of(wanted.name);
  wire::Enrolment enrolment = co_await agent::join(*server, std::move(request));
  agent::write_enrolment(directory, enrolment);
  co_return enrolment;
}

void check_pool(const Wanted& wanted, const wire::Enrolment& enrolment) {
  if (wanted.pool.empty() || wanted.pool == enrolment.task_queue) return;
  throw Error(ErrorCode::conflict,
              fmt::format("this machine is a node of {}, not of {}", enrolment.task_queue, wanted.pool),
              "make a join token for that pool, and give it a --data-dir of its own");
}

void greet(const Wanted& wanted, const wire::Enrolment& enrolment) {
  Style style(STDOUT_FILENO);
  print(fmt::format("Gantry {} works for {}\n", GANTRY_VERSION, style.bold(wanted.process.server.to_string())));
  print(fmt::format("  pool      {}\n", enrolment.task_queue));
  print(fmt::format("  worker    {}/{}\n", enrolment.worker_group, enrolment.worker_id));
  print(fmt::format("  data      {}\n", wanted.process.agent.data_directory));
  print(fmt::format("  engine    {}\n", wanted.process.engine_url));
}

/// Joining may wait long for a server that is away, and Ctrl-C must end that.
struct Joining {
  std::optional<wire::Enrolment> enrolment;
  std::exception_ptr failure;
  bool interrupted = false;
  Event news;
};

Wanted with_host_settings(const Wanted& before, const json::object& settings);

Async<> enrol_into(Env& env, Wanted& wanted, std::shared_ptr<agent::Host> host, std::shared_ptr<Joining> joining) {
  try {
    agent::HostFacts facts = co_await host->facts();
    if (!facts.settings.empty()) wanted = with_host_settings(wanted, facts.settings);
    if (wanted.name.empty()) wanted.name = worker_id_of(facts.worker_id);
    apply_facts(facts, wanted.process.agent);
    if (wanted.foreign && wanted.foreign->worker_id.empty()) wanted.foreign->worker_id = wanted.name;
    if (wanted.foreign && wanted.foreign->worker_id.empty()) {
      wanted.foreign->worker_id = "node-" + agent::agent_id(env, wanted.process.agent.data_directory).to_string();
    }
    joining->enrolment = co_await enrol(env, wanted);
    check_pool(wanted, *joining->enrolment);
  } catch (...) {
    joining->failure = std::current_exception();
  }
  joining->news.notify_all();
}

Async<> watch_into(Env& env, Interrupts& interrupts, std::shared_ptr<Joining> joining) {
  co_await interrupts.wait(env);
  joining->interrupted = true;
  joining->news.notify_all();
}

/// Nothing if it was interrupted.
Async<std::optional<wire::Enrolment>> enrol_unless(Env& env, Wanted& wanted, std::shared_ptr<agent::Host> host,
                                                   Interrupts& interrupts) {
  auto joining = std::make_shared<Joining>();
  Scope scope(env.executor(), "join");
  scope.spawn("enrol", enrol_into(env, wanted, std::move(host), joining));
  scope.spawn("interrupts", watch_into(env, interrupts, joining));
  while (!joining->enrolment && !joining->failure && !joining->interrupted) co_await joining->news.wait();
  scope.cancel();
  co_await scope.join();
  if (joining->interrupted) co_return std::nullopt;
  if (joining->failure) std::rethrow_exception(joining->failure);
  co_return std::move(joining->enrolment);
}

Async<int> work(Env& env, Wanted wanted, Interrupts& interrupts) {
  // For the credentials that worker-runner renews; a server of ours has its agents renew their own.
  auto renewed = std::make_shared<AgentProcess*>(nullptr);
  std::function<void(const wire::HawkCredentials&)> use;
  if (wanted.foreign) {
    use = [renewed](const wire::HawkCredentials& credentials) {
      if (*renewed) (*renewed)->agent().use_credentials(credentials);
    };
  }
  auto host = make_host(env, wanted.process.agent, std::move(use));
  auto joined = co_await enrol_unless(env, wanted, host, interrupts);
  if (!joined) co_return exit_failed;
  wire::Enrolment enrolment = std::move(*joined);
  auto agent = wanted.foreign
                   ? std::make_unique<AgentProcess>(env, under(wanted.process, enrolment), enrolment.credentials)
                   : std::make_unique<AgentProcess>(env, wanted.process, enrolment);
  *renewed = agent.get();
  agent->start();
  greet(wanted, enrolment);
  co_return co_await live(env, *agent, std::move(host), wanted.process.agent, interrupts);
}

std::string directory_of(const Arguments& arguments) {
  if (arguments.has("data-dir")) return data_directory(arguments.text("data-dir")).path;
  return data_directory("").path + "/node";
}

net::Endpoint server_of(const Arguments& arguments) {
  std::string url = foreign_url(arguments);
  if (url.empty()) url = arguments.has("server") ? arguments.text("server") : variable("GANTRY_URL");
  if (url.empty()) throw UsageError("which server? give --server URL or set $GANTRY_URL");
  net::Endpoint endpoint = parse_server_url(url, arguments.text("tls-ca"));
  if (endpoint.kind != net::Endpoint::Kind::tcp) throw UsageError("--server: must be an http:// or https:// URL");
  return endpoint;
}

void read_garbage(const Arguments& arguments, agent::GarbageSettings& garbage) {
  garbage.interval = arguments.duration("garbage-interval");
  garbage.image_expiration = arguments.duration("image-expiration");
  garbage.container_expiration = arguments.duration("container-expiration");
  garbage.disk_bytes_per_slot = arguments.size_bytes("disk-per-slot");
  garbage.disk_path = arguments.text("disk-path");
}

Wanted read(const Arguments& arguments) {
  Wanted wanted;
  wanted.name = arguments.text("name");
  worker_id_of(wanted.name);
  wanted.pool = arguments.text("pool");
  wanted.token_file = arguments.text("join-token-file");
  wanted.process.server = server_of(arguments);
  wanted.process.agent.foreign = foreign_settings(arguments);
  if (wanted.process.agent.foreign.enabled) wanted.foreign = foreign_enrolment(arguments, wanted.name);
  wanted.process.engine_url = engine_url(arguments.text("engine"));
  read_life(arguments, wanted.process.agent);
  wanted.process.agent.data_directory = directory_of(arguments);
  wanted.process.agent.name = wanted.name;
  wanted.process.agent.slots = slots_of(arguments);
  wanted.process.agent.registries = registries_of(arguments);
  wanted.process.agent.allow_privileged = arguments.flag("allow-privileged");
  wanted.process.agent.surroundings = surroundings_of(arguments);
  wanted.process.agent.signing_key = signing_key_of(arguments);
  wanted.process.agent.secrets_key = secrets_key_of(arguments);
  wanted.process.agent.restrict_cpu = arguments.flag("restrict-cpu");
  if (std::int64_t limit = log_limit_of(arguments); limit > 0) wanted.process.agent.log_bytes_max = limit;
  read_garbage(arguments, wanted.process.agent.garbage);
  agent::MetricsSettings& metrics = wanted.process.agent.metrics;
  metrics.statsd_url = arguments.text("statsd-url");
  metrics.statsd_prefix = arguments.text("statsd-prefix");
  metrics.worker_node_type = arguments.text("worker-node-type");
  metrics.events = arguments.flag("events");
  return wanted;
}

/// Where the data is and which host says so stays as it was: that is in use already.
Wanted with_host_settings(const Wanted& before, const json::object& settings) {
  Wanted wanted = read(with_settings(before.typed, json::serialize(settings)));
  wanted.typed = before.typed;
  wanted.process.agent.data_directory = before.process.agent.data_directory;
  wanted.process.agent.host = before.process.agent.host;
  wanted.process.agent.shutdown.metadata_url = before.process.agent.shutdown.metadata_url;
  return wanted;
}

int run(const Arguments& typed) {
  Arguments arguments = with_settings(typed);
  set_log_level(arguments.flag("verbose") ? LogLevel::debug : LogLevel::info);
  Wanted wanted = read(arguments);
  wanted.typed = typed;
  const std::string& directory = wanted.process.agent.data_directory;
  make_data_directory({directory});
  std::optional<FileLock> lock;
  try {
    lock.emplace(directory + "/lock");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::conflict) throw;
    throw Error(error.code(), fmt::format("another agent runs on {}", directory),
                "give this one a directory of its own with --data-dir");
  }
  Interrupts interrupts;
  ::signal(SIGPIPE, SIG_IGN);
  return run_to_end([&](Env& env) { return work(env, wanted, interrupts); });
}

}  // namespace

Option engine_option() { return setting_option("engine"); }

Option slots_option() { return setting_option("slots"); }

Option log_limit_option() { return setting_option("log-limit"); }

Option verbose_option() { return setting_option("verbose"); }

int slots_of(const Arguments& arguments) {
  constexpr std::int64_t slots_max = 10'000;
  if (!arguments.has("slots")) return 0;
  std::int64_t slots = arguments.count("slots");
  if (slots < 1 || slots > slots_max) throw UsageError("--slots: must be 1 to 10000");
  return static_cast<int>(slots);
}

Option allow_privileged_option() { return setting_option("allow-privileged"); }

Option registries_option() { return setting_option("registries"); }

agent::Registries registries_of(const Arguments& arguments) {
  if (!arguments.has("registries")) return {};
  return agent::read_registries(arguments.text("registries"));
}

Option signing_key_option() { return setting_option("signing-key"); }

Option secrets_key_option() { return setting_option("secrets-key"); }

Option restrict_cpu_option() { return setting_option("restrict-cpu"); }

std::shared_ptr<const agent::SigningKey> signing_key_of(const Arguments& arguments) {
  if (!arguments.has("signing-key")) return nullptr;
  return std::make_shared<const agent::SigningKey>(agent::read_signing_key(arguments.text("signing-key")));
}

std::shared_ptr<const agent::OpenPgpKey> secrets_key_of(const Arguments& arguments) {
  if (!arguments.has("secrets-key")) return nullptr;
  return std::make_shared<const agent::OpenPgpKey>(agent::read_openpgp_key(arguments.text("secrets-key")));
}

std::int64_t log_limit_of(const Arguments& arguments) {
  constexpr std::int64_t log_bytes_min = 64 << 10;
  constexpr std::int64_t log_bytes_max = 1 << 30;  // the server keeps no longer ones
  if (!arguments.has("log-limit")) return 0;
  std::int64_t bytes = arguments.size_bytes("log-limit");
  if (bytes < log_bytes_min || bytes > log_bytes_max) throw UsageError("--log-limit: must be 64k to 1g");
  return bytes;
}

Command agent_command() {
  Command command = {
      .path = "agent",
      .summary = "Make this machine a node: run the tasks of one pool for a server",
      .details =
          "The first start exchanges a join token (gantry node token) for credentials of this machine's own, kept in\n"
          "the data directory and renewed from there on; later starts need no token. Ctrl-C and SIGTERM leave\n"
          "containers running, to be taken up at the next start; --on-stop changes that. It may be killed at any time\n"
          "without harm.",
      .options = settings_source_options(),
      .examples = {{"gantry agent --server https://gantry.example:7443 --join-token-file token",
                    "The first start of a node."},
                   {"gantry agent --server https://gantry.example:7443", "Every later one."},
                   {"gantry agent --root-url https://taskcluster.example --pool team/linux",
                    "A worker for a foreign Taskcluster; credentials in the environment."}},
      .run = run,
  };
  for (const Option& option : foreign_options()) command.options.push_back(option);
  for (const Option& option : settings_options()) command.options.push_back(option);
  return command;
}

}  // namespace gantry::cli
