#include "cli/commands/foreign.h"

#include <cstdlib>

#include <fmt/format.h>

#include "net/http.h"
#include "wire/task_definition.h"

namespace gantry::cli {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string identifier_of(const std::string& text, std::string_view option) {
  if (text.empty() || wire::is_identifier(text)) return text;
  throw UsageError(fmt::format("{} \"{}\" cannot be a worker's name", option, text), "use 1 to 38 of [a-zA-Z0-9-_]");
}

/// $PULSE_URL, or $PULSE_USERNAME, $PULSE_PASSWORD and $PULSE_HOSTNAME; nothing without them. Never from the command
/// line, where everybody on the machine could read the password.
std::optional<net::AmqpUrl> pulse_of_environment() {
  if (std::string url = variable("PULSE_URL"); !url.empty()) return value_or_throw(net::parse_amqp_url(url));
  std::string user = variable("PULSE_USERNAME");
  std::string password = variable("PULSE_PASSWORD");
  std::string host = variable("PULSE_HOSTNAME");
  if (user.empty() && password.empty() && host.empty()) return std::nullopt;
  if (user.empty() || password.empty() || host.empty()) {
    throw UsageError("there is only a part of the pulse credentials",
                     "set PULSE_USERNAME, PULSE_PASSWORD and PULSE_HOSTNAME, or PULSE_URL, or none of them");
  }
  return value_or_throw(net::parse_amqp_url(
      fmt::format("amqps://{}:{}@{}", net::percent_encode(user), net::percent_encode(password), host)));
}

}  // namespace

std::vector<Option> foreign_options() {
  return {{.name = "root-url",
           .value = "URL",
           .help = "work for a foreign Taskcluster instead, by its public API; credentials from "
                   "$TASKCLUSTER_CLIENT_ID, $TASKCLUSTER_ACCESS_TOKEN, $TASKCLUSTER_CERTIFICATE"},
          {.name = "worker-group", .value = "NAME", .help = "the worker's group there; default: gantry"},
          {.name = "worker-id", .value = "NAME", .help = "the worker's id there; default: --name, or one of its own"},
          {.name = "live-log-listen",
           .value = "ADDRESS:PORT",
           .help = "where the agent serves live logs then; default: 0.0.0.0:0, a free port"},
          {.name = "live-log-host",
           .value = "NAME",
           .help = "the name or address in the URLs of live logs; default: the machine's public name"},
          {.name = "live-log-cert",
           .kind = ValueKind::file,
           .value = "FILE",
           .help = "PEM certificate with its chain: live logs are read by https"},
          {.name = "live-log-key", .kind = ValueKind::file, .value = "FILE", .help = "its private key"}};
}

std::string foreign_url(const Arguments& arguments) {
  if (arguments.has("root-url") && arguments.has("server")) throw UsageError("give --root-url or --server, not both");
  if (arguments.has("root-url")) return arguments.text("root-url");
  bool other = arguments.has("server") || !variable("GANTRY_URL").empty();
  bool pool_alone = arguments.has("pool") && !arguments.has("join-token-file");
  return other || !pool_alone ? "" : variable("TASKCLUSTER_ROOT_URL");
}

agent::ForeignSettings foreign_settings(const Arguments& arguments) {
  agent::ForeignSettings settings;
  settings.enabled = !foreign_url(arguments).empty();
  if (arguments.has("live-log-listen")) settings.log_listen = arguments.text("live-log-listen");
  settings.log_host = arguments.text("live-log-host");
  settings.log_certificate = arguments.text("live-log-cert");
  settings.log_key = arguments.text("live-log-key");
  if (settings.log_certificate.empty() != settings.log_key.empty()) {
    throw UsageError("--live-log-cert and --live-log-key go together");
  }
  if (settings.enabled) settings.pulse = pulse_of_environment();
  if (settings.enabled) return settings;
  for (const char* option : {"worker-group", "worker-id", "live-log-listen", "live-log-host", "live-log-cert"}) {
    if (arguments.has(option)) throw UsageError(fmt::format("--{} goes with --root-url only", option));
  }
  return settings;
}

wire::Enrolment foreign_enrolment(const Arguments& arguments, const std::string& name) {
  wire::Enrolment enrolment;
  enrolment.credentials = {variable("TASKCLUSTER_CLIENT_ID"), variable("TASKCLUSTER_ACCESS_TOKEN"),
                           variable("TASKCLUSTER_CERTIFICATE")};
  if (enrolment.credentials.client_id.empty() || enrolment.credentials.access_token.empty()) {
    throw UsageError("there are no Taskcluster credentials",
                     "set TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN, and TASKCLUSTER_CERTIFICATE for "
                     "temporary ones");
  }
  enrolment.task_queue = arguments.text("pool");
  if (enrolment.task_queue.empty()) throw UsageError("which pool? give --pool PROVISIONER/WORKERTYPE");
  enrolment.worker_group = identifier_of(arguments.text("worker-group"), "--worker-group");
  if (enrolment.worker_group.empty()) enrolment.worker_group = "gantry";
  enrolment.worker_id = identifier_of(arguments.has("worker-id") ? arguments.text("worker-id") : name, "--worker-id");
  return enrolment;
}

}  // namespace gantry::cli
