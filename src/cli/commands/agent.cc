#include <cstdlib>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "agent/enrolment.h"
#include "agent/limits.h"
#include "base/files.h"
#include "base/log.h"
#include "cli/agent_process.h"
#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "wire/task_definition.h"

namespace gantry::cli {
namespace {

constexpr std::string_view token_hint =
    "make one on the server with: gantry node token, and start with --join-token-file FILE or $GANTRY_JOIN_TOKEN";

struct Wanted {
  AgentProcessSettings process;
  std::string pool;  // empty: the token says
  std::string name;
  std::string token_file;
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

Async<> enrol_into(Env& env, const Wanted& wanted, std::shared_ptr<Joining> joining) {
  try {
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
Async<std::optional<wire::Enrolment>> enrol_unless(Env& env, const Wanted& wanted, Interrupts& interrupts) {
  auto joining = std::make_shared<Joining>();
  Scope scope(env.executor(), "join");
  scope.spawn("enrol", enrol_into(env, wanted, joining));
  scope.spawn("interrupts", watch_into(env, interrupts, joining));
  while (!joining->enrolment && !joining->failure && !joining->interrupted) co_await joining->news.wait();
  scope.cancel();
  co_await scope.join();
  if (joining->interrupted) co_return std::nullopt;
  if (joining->failure) std::rethrow_exception(joining->failure);
  co_return std::move(joining->enrolment);
}

Async<int> work(Env& env, Wanted wanted, Interrupts& interrupts) {
  auto joined = co_await enrol_unless(env, wanted, interrupts);
  if (!joined) co_return exit_failed;
  wire::Enrolment enrolment = std::move(*joined);
  auto agent = std::make_unique<AgentProcess>(env, wanted.process, enrolment);
  agent->start();
  greet(wanted, enrolment);
  co_await interrupts.wait(env);
  say(wanted.process.abort_tasks ? "gantry: stopping, running tasks are aborted" : "gantry: stopping");
  co_await agent->stop();
  co_return exit_ok;
}

std::string directory_of(const Arguments& arguments) {
  if (arguments.has("data-dir")) return data_directory(arguments.text("data-dir")).path;
  return data_directory("").path + "/node";
}

net::Endpoint server_of(const Arguments& arguments) {
  std::string url = arguments.has("server") ? arguments.text("server") : variable("GANTRY_URL");
  if (url.empty()) throw UsageError("which server? give --server URL or set $GANTRY_URL");
  net::Endpoint endpoint = parse_server_url(url, arguments.text("tls-ca"));
  if (endpoint.kind != net::Endpoint::Kind::tcp) throw UsageError("--server: must be an http:// or https:// URL");
  return endpoint;
}

Wanted read(const Arguments& arguments) {
  Wanted wanted;
  wanted.name = arguments.text("name");
  worker_id_of(wanted.name);
  wanted.pool = arguments.text("pool");
  wanted.token_file = arguments.text("join-token-file");
  wanted.process.server = server_of(arguments);
  wanted.process.engine_url = engine_url(arguments.text("engine"));
  wanted.process.abort_tasks = arguments.flag("abort-tasks");
  wanted.process.agent.data_directory = directory_of(arguments);
  wanted.process.agent.name = wanted.name;
  wanted.process.agent.slots = slots_of(arguments);
  wanted.process.agent.registries = registries_of(arguments);
  wanted.process.agent.allow_privileged = arguments.flag("allow-privileged");
  wanted.process.agent.signing_key = signing_key_of(arguments);
  wanted.process.agent.secrets_key = secrets_key_of(arguments);
  wanted.process.agent.restrict_cpu = arguments.flag("restrict-cpu");
  if (std::int64_t limit = log_limit_of(arguments); limit > 0) wanted.process.agent.log_bytes_max = limit;
  return wanted;
}

int run(const Arguments& arguments) {
  set_log_level(arguments.flag("verbose") ? LogLevel::debug : LogLevel::info);
  Wanted wanted = read(arguments);
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

Option engine_option() {
  return {.name = "engine",
          .value = "URL",
          .help = "the container engine; default: $DOCKER_HOST or unix:///var/run/docker.sock"};
}

Option slots_option() {
  return {.name = "slots",
          .kind = ValueKind::count,
          .value = "N",
          .help = "how many tasks run at once; default: twice the machine's cpus"};
}

Option log_limit_option() {
  return {.name = "log-limit",
          .kind = ValueKind::size,
          .value = "SIZE",
          .help = "a task that writes more log than that is killed",
          .otherwise = "256m"};
}

Option abort_tasks_option() {
  return {.name = "abort-tasks",
          .kind = ValueKind::flag,
          .help = "on Ctrl-C, end running tasks and hand them back instead of leaving their containers"};
}

Option verbose_option() { return {.name = "verbose", .kind = ValueKind::flag, .help = "log what happens, to stderr"}; }

int slots_of(const Arguments& arguments) {
  constexpr std::int64_t slots_max = 10'000;
  if (!arguments.has("slots")) return 0;
  std::int64_t slots = arguments.count("slots");
  if (slots < 1 || slots > slots_max) throw UsageError("--slots: must be 1 to 10000");
  return static_cast<int>(slots);
}

Option allow_privileged_option() {
  return {.name = "allow-privileged",
          .kind = ValueKind::flag,
          .help =
              "allow privileged containers: tasks with the scope docker-worker:capability:privileged then do "
              "whatever this machine's root may"};
}

Option registries_option() {
  return {.name = "registries",
          .kind = ValueKind::file,
          .value = "FILE",
          .help = "JSON file with the credentials and mirrors of image registries; only its owner may read it"};
}

agent::Registries registries_of(const Arguments& arguments) {
  if (!arguments.has("registries")) return {};
  return agent::read_registries(arguments.text("registries"));
}

Option signing_key_option() {
  return {.name = "signing-key",
          .kind = ValueKind::file,
          .value = "FILE",
          .help =
              "private ed25519 key for tasks with chainOfTrust: PEM, or a 32-byte seed in base64; only its owner may "
              "read it"};
}

Option secrets_key_option() {
  return {.name = "secrets-key",
          .kind = ValueKind::file,
          .value = "FILE",
          .help = "private OpenPGP key without passphrase for tasks with encryptedEnv; only its owner may read it"};
}

Option restrict_cpu_option() {
  return {.name = "restrict-cpu",
          .kind = ValueKind::flag,
          .help = "tasks may have a cpu of their own (capabilities.devices.cpu); no more tasks than cpus run then"};
}

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
  return {
      .path = "agent",
      .summary = "Make this machine a node: run the tasks of one pool for a server",
      .details =
          "The first start exchanges a join token (gantry node token) for credentials of this machine's own, kept in\n"
          "the data directory and renewed from there on; later starts need no token. Ctrl-C and SIGTERM leave\n"
          "containers running, to be taken up at the next start. It may be killed at any time without harm.",
      .options = {{.name = "server", .value = "URL", .help = "the server; default: $GANTRY_URL"},
                  {.name = "join-token-file",
                   .kind = ValueKind::file,
                   .value = "FILE",
                   .help = "for the first start: the file with the join token; default: $GANTRY_JOIN_TOKEN"},
                  {.name = "data-dir",
                   .kind = ValueKind::directory,
                   .value = "DIR",
                   .help = "where the agent keeps its data; default: node/ in $GANTRY_DATA_DIR or "
                           "~/.local/share/gantry"},
                  {.name = "name", .value = "NAME", .help = "what the node is called; default: the host's name"},
                  {.name = "pool",
                   .kind = ValueKind::queue,
                   .value = "P/W",
                   .help = "refuse to start for another pool than this; default: the join token's"},
                  tls_ca_option(),
                  engine_option(),
                  slots_option(),
                  log_limit_option(),
                  registries_option(),
                  allow_privileged_option(),
                  signing_key_option(),
                  secrets_key_option(),
                  restrict_cpu_option(),
                  abort_tasks_option(),
                  verbose_option()},
      .examples = {{"gantry agent --server https://gantry.example:7443 --join-token-file token",
                    "The first start of a node."},
                   {"gantry agent --server https://gantry.example:7443", "Every later one."}},
      .run = run,
  };
}

}  // namespace gantry::cli
