#include "cli/dev.h"

#include <cstdlib>

#include "base/log.h"
#include "cli/commands/commands.h"

namespace gantry::cli {
namespace {

std::string engine_url(const Arguments& arguments) {
  if (arguments.has("engine")) return arguments.text("engine");
  if (const char* host = std::getenv("DOCKER_HOST"); host && *host) return host;
  return "unix:///var/run/docker.sock";
}

int run(const Arguments& arguments) {
  constexpr std::int64_t slots_max = 10'000;
  constexpr std::int64_t log_bytes_min = 64 << 10;
  constexpr std::int64_t log_bytes_max = 1 << 30;  // the server keeps no longer ones
  set_log_level(arguments.flag("verbose") ? LogLevel::debug : LogLevel::warning);
  DevSettings settings;
  settings.data = data_directory(arguments.text("data-dir"));
  settings.data_was_named = arguments.has("data-dir");
  settings.listen = arguments.text("listen");
  settings.engine_url = engine_url(arguments);
  settings.task_queue = arguments.text("task-queue");
  settings.insecure = arguments.flag("insecure");
  settings.abort_tasks = arguments.flag("abort-tasks");
  if (arguments.has("slots")) {
    std::int64_t slots = arguments.count("slots");
    if (slots < 1 || slots > slots_max) throw UsageError("--slots: must be 1 to 10000");
    settings.slots = static_cast<int>(slots);
  }
  if (arguments.has("log-limit")) {
    settings.log_bytes_max = arguments.size_bytes("log-limit");
    if (settings.log_bytes_max < log_bytes_min || settings.log_bytes_max > log_bytes_max) {
      throw UsageError("--log-limit: must be 64k to 1g");
    }
  }
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
                  {.name = "engine",
                   .value = "URL",
                   .help = "the container engine; default: $DOCKER_HOST or unix:///var/run/docker.sock"},
                  {.name = "slots",
                   .kind = ValueKind::count,
                   .value = "N",
                   .help = "how many tasks run at once; default: twice the machine's cpus"},
                  {.name = "log-limit",
                   .kind = ValueKind::size,
                   .value = "SIZE",
                   .help = "a task that writes more log than that is killed",
                   .otherwise = "256m"},
                  {.name = "task-queue",
                   .kind = ValueKind::queue,
                   .value = "P/W",
                   .help = "the queue whose tasks run here",
                   .otherwise = "local/default"},
                  {.name = "insecure",
                   .kind = ValueKind::flag,
                   .help = "allow to listen beyond this machine without TLS"},
                  {.name = "abort-tasks",
                   .kind = ValueKind::flag,
                   .help = "on Ctrl-C, end running tasks and hand them back instead of leaving their containers"},
                  {.name = "verbose", .kind = ValueKind::flag, .help = "log what happens, to stderr"}},
      .examples = {{"gantry dev", "Listen on 127.0.0.1:7070, data in ~/.local/share/gantry."},
                   {"gantry dev --data-dir /tmp/try --listen 127.0.0.1:0", "A second one, on a free port."},
                   {"gantry dev --engine tcp://10.0.0.5:2375 --slots 4",
                    "Run containers on another machine's Docker."}},
      .run = run,
  };
}

}  // namespace gantry::cli
