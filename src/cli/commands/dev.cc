#include "cli/dev.h"

#include "base/log.h"
#include "cli/agent_process.h"
#include "cli/commands/commands.h"
#include "cli/commands/life_options.h"
#include "cli/commands/surroundings.h"

namespace gantry::cli {
namespace {

int run(const Arguments& arguments) {
  set_log_level(arguments.flag("verbose") ? LogLevel::debug : LogLevel::warning);
  DevSettings settings;
  settings.data = data_directory(arguments.text("data-dir"));
  settings.data_was_named = arguments.has("data-dir");
  settings.listener.listen = arguments.text("listen");
  settings.engine_url = engine_url(arguments.text("engine"));
  settings.task_queue = arguments.text("task-queue");
  settings.listener.insecure = arguments.flag("insecure");
  settings.on_stop = on_stop_of(arguments);
  settings.pulse_url = find_pulse_url(arguments.text("pulse-url-file"));
  settings.event_log_bytes_max = event_log_of(arguments);
  settings.slots = slots_of(arguments);
  settings.registries = registries_of(arguments);
  settings.allow_privileged = arguments.flag("allow-privileged");
  settings.surroundings = surroundings_of(arguments);
  settings.signing_key = signing_key_of(arguments);
  settings.secrets_key = secrets_key_of(arguments);
  settings.restrict_cpu = arguments.flag("restrict-cpu");
  settings.log_bytes_max = log_limit_of(arguments);
  return run_dev(settings);
}

}  // namespace

Command dev_command() {
  return {
      .path = "dev",
      .summary = "Start a server and an agent on this machine",
      .details =
          "The first start makes the data directory and, in it, credentials that only you can read; the other\n"
          "commands find both. Ctrl-C stops it and leaves containers running, to be taken up at the next start;\n"
          "a second Ctrl-C ends it at once. It may be killed at any time without harm.",
      .options = {data_dir_option(),
                  {.name = "listen",
                   .value = "ADDRESS:PORT",
                   .help = "where to listen; port 0 takes a free one",
                   .otherwise = "127.0.0.1:7070"},
                  pulse_url_file_option(),
                  event_log_option(),
                  engine_option(),
                  slots_option(),
                  log_limit_option(),
                  registries_option(),
                  allow_privileged_option(),
                  dind_image_option(),
                  side_containers_option(),
                  superseder_anywhere_option(),
                  no_firewall_option(),
                  signing_key_option(),
                  secrets_key_option(),
                  restrict_cpu_option(),
                  {.name = "task-queue",
                   .kind = ValueKind::queue,
                   .value = "P/W",
                   .help = "the queue whose tasks run here",
                   .otherwise = "local/default"},
                  {.name = "insecure",
                   .kind = ValueKind::flag,
                   .help = "allow to listen beyond this machine without TLS"},
                  on_stop_option(),
                  verbose_option()},
      .examples = {{"gantry dev", "Listen on 127.0.0.1:7070, data in ~/.local/share/gantry."},
                   {"gantry dev --data-dir /tmp/try --listen 127.0.0.1:0", "A second one, on a free port."},
                   {"gantry dev --engine tcp://10.0.0.5:2375 --slots 4",
                    "Run containers on another machine's Docker."}},
      .run = run,
  };
}

}  // namespace gantry::cli
