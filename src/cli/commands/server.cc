#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/interrupt.h"
#include "cli/server_process.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

/// For answers under way; followers of logs connect again to the next server.
constexpr Duration stop_grace = seconds(10);

void greet(const ServerProcess& server, const ServerProcessSettings& wanted) {
  Style style(STDOUT_FILENO);
  print(fmt::format("Gantry {} listens on {}\n", GANTRY_VERSION, style.bold(server.url())));
  print(fmt::format("  data         {}\n", wanted.data.path));
  print(fmt::format("  credentials  {}\n", wanted.data.credentials()));
  print(fmt::format("  encrypted    {}\n", wanted.listener.tls() ? "yes" : "no"));
  print("\nMake machines its nodes: gantry node token, then gantry agent there.\n");
}

Async<int> serve(Env& env, ServerProcessSettings wanted, Interrupts& interrupts) {
  auto server = std::make_unique<ServerProcess>(env, wanted);
  server->open();
  std::exception_ptr failure;
  try {
    server->start();
    server->reload_on_hangup();
    greet(*server, wanted);
    co_await interrupts.wait(env);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) say("gantry: stopping");
  co_await server->stop(stop_grace);
  if (failure) std::rethrow_exception(failure);
  co_return exit_ok;
}

std::string public_url(const Arguments& arguments) {
  std::string url = arguments.text("public-url");
  while (url.ends_with('/')) url.pop_back();
  if (url.empty()) return url;
  bool web = url.starts_with("http://") || url.starts_with("https://");
  if (!web || !net::parse_endpoint(url)) {
    throw UsageError(fmt::format("--public-url \"{}\" is not what it must be", url),
                     "write https://HOST or https://HOST:PORT, without a path");
  }
  return url;
}

int run(const Arguments& arguments) {
  set_log_level(arguments.flag("verbose") ? LogLevel::debug : LogLevel::info);
  ServerProcessSettings wanted;
  wanted.pulse_url = find_pulse_url(arguments.text("pulse-url-file"));
  wanted.event_log_bytes_max = event_log_of(arguments);
  wanted.data = data_directory(arguments.text("data-dir"));
  wanted.listener.listen = arguments.text("listen");
  wanted.listener.public_url = public_url(arguments);
  wanted.listener.tls_certificate = arguments.text("tls-cert");
  wanted.listener.tls_key = arguments.text("tls-key");
  wanted.listener.insecure = arguments.flag("insecure");
  if (arguments.has("tls-cert") != arguments.has("tls-key")) {
    throw UsageError("--tls-cert and --tls-key go together", "give the certificate's file and its key's");
  }
  check_listener(wanted.listener, "give it a certificate with --tls-cert and --tls-key");
  Interrupts interrupts;
  ::signal(SIGPIPE, SIG_IGN);
  try {
    return run_to_end([&](Env& env) { return serve(env, wanted, interrupts); });
  } catch (const Error& error) {
    throw in_use(error, wanted.data.path);
  }
}

}  // namespace

Option pulse_url_file_option() {
  return {.name = "pulse-url-file",
          .kind = ValueKind::file,
          .value = "FILE",
          .help =
              "a file with the URL of the RabbitMQ that events go to, amqps://user:password@host/vhost; default: "
              "$GANTRY_PULSE_URL"};
}

Option event_log_option() {
  return {.name = "event-log",
          .kind = ValueKind::size,
          .value = "SIZE",
          .help =
              "how much is kept of the events, for a RabbitMQ that is away and for gantry events; default: 10g, "
              "without a RabbitMQ 100m"};
}

std::int64_t event_log_of(const Arguments& arguments) {
  constexpr std::int64_t bytes_min = 64 << 10;
  constexpr std::int64_t bytes_max = std::int64_t{1} << 40;
  if (!arguments.has("event-log")) return 0;
  std::int64_t bytes = arguments.size_bytes("event-log");
  if (bytes < bytes_min || bytes > bytes_max) throw UsageError("--event-log: must be 64k to 1t");
  return bytes;
}

Command server_command() {
  return {
      .path = "server",
      .summary = "Start the control plane alone; agents join it from other machines",
      .details =
          "The first start makes the data directory and, in it, the root credentials, which only you can read.\n"
          "SIGTERM and Ctrl-C finish the answers under way, at most 10 seconds; SIGHUP reads the certificate\n"
          "again without closing a connection. It may be killed at any time without harm.",
      .options = {data_dir_option(),
                  {.name = "listen",
                   .value = "ADDRESS:PORT",
                   .help = "where to listen; port 0 takes a free one",
                   .otherwise = "127.0.0.1:7070"},
                  {.name = "public-url", .value = "URL", .help = "how clients reach it; default: as each of them does"},
                  {.name = "tls-cert",
                   .kind = ValueKind::file,
                   .value = "FILE",
                   .help = "speak TLS: the certificate and those that lead to its authority, PEM"},
                  {.name = "tls-key", .kind = ValueKind::file, .value = "FILE", .help = "the certificate's key, PEM"},
                  {.name = "insecure",
                   .kind = ValueKind::flag,
                   .help = "allow to listen beyond this machine without TLS"},
                  pulse_url_file_option(),
                  event_log_option(),
                  verbose_option()},
      .examples = {{"gantry server --listen 0.0.0.0:7443 --tls-cert cert.pem --tls-key key.pem --public-url "
                    "https://gantry.example:7443",
                    "For a team: encrypted, on all addresses."},
                   {"gantry server", "On 127.0.0.1:7070, behind a proxy that speaks TLS."}},
      .run = run,
  };
}

}  // namespace gantry::cli
