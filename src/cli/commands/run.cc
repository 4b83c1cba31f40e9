#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/text.h"
#include "cli/commands/commands.h"
#include "cli/task_session.h"
#include "cli/terminal.h"
#include "wire/payload.h"
#include "wire/queue_types.h"
#include "wire/task_definition.h"

namespace gantry::cli {
namespace {

constexpr Duration deadline_default = hours(24);
constexpr std::string_view priorities[] = {"highest", "very-high", "high", "medium", "low", "very-low", "lowest"};
constexpr std::size_t name_bytes_max = 255;

std::string owner() {
  const char* user = std::getenv("USER");
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  return shorten(fmt::format("{}@{}", user && *user ? user : "somebody", host), name_bytes_max - 3);
}

/// What the parser cannot know of single values.
void check(const Arguments& arguments) {
  if (arguments.has("memory") && arguments.size_bytes("memory") < wire::ResourceLimits::memory_bytes_min) {
    throw UsageError(fmt::format("--memory \"{}\": must be at least 6m", arguments.text("memory")));
  }
  Duration timeout = arguments.duration("timeout");
  if (timeout < seconds(1) || timeout > wire::deadline_max) {
    throw UsageError(fmt::format("--timeout \"{}\": must be 1s to 5d", arguments.text("timeout")));
  }
  for (const char* option : {"artifact", "artifact-dir"}) {
    for (const auto& [name, path] : arguments.pairs(option)) {
      if (path.starts_with('/')) continue;
      throw UsageError(fmt::format("--{} {}={}: must name an absolute path inside the container", option, name, path),
                       fmt::format("for example: --{} {}=/{}", option, name, path));
    }
  }
}

void append_artifacts(JsonWriter& out, const Arguments& arguments) {
  out.key("artifacts").begin_object();
  for (const auto& [option, type] : {std::pair{"artifact", "file"}, std::pair{"artifact-dir", "directory"}}) {
    for (const auto& [name, path] : arguments.pairs(option)) {
      out.key(name).begin_object().field("type", type).field("path", path).end_object();
    }
  }
  out.end_object();
}

void append_payload(JsonWriter& out, const Arguments& arguments) {
  out.key("payload").begin_object().field("image", arguments.argument("IMAGE"));
  out.key("command").begin_array();
  for (const std::string& word : arguments.arguments("COMMAND")) out.string(word);
  out.end_array();
  std::map<std::string, std::string> env;
  for (auto& [name, value] : arguments.pairs("env")) env[name] = value;
  out.key("env").begin_object();
  for (const auto& [name, value] : env) out.field(name, value);
  out.end_object();
  auto run_time_s = std::chrono::ceil<seconds>(arguments.duration("timeout")).count();
  out.field("maxRunTime", static_cast<std::int64_t>(run_time_s));
  append_artifacts(out, arguments);
  out.key("resources").begin_object();
  if (arguments.has("memory")) out.field("memory", arguments.size_bytes("memory"));
  if (arguments.has("cpus")) out.field("cpus", arguments.number("cpus"));
  out.end_object().end_object();
}

std::string definition(const Arguments& arguments, const std::string& url, Time now) {
  std::string body;
  JsonWriter out(body);
  Duration deadline = std::min<Duration>(deadline_default + arguments.duration("timeout"), wire::deadline_max);
  out.begin_object().field("taskQueueId", arguments.text("queue")).field("priority", arguments.text("priority"));
  out.field("created", now).field("deadline", now + deadline);
  append_payload(out, arguments);
  std::string words = arguments.argument("IMAGE");
  for (const std::string& word : arguments.arguments("COMMAND")) words += " " + word;
  std::string name = arguments.has("name") ? arguments.text("name") : words;
  out.key("metadata").begin_object().field("name", shorten(name, name_bytes_max - 3));
  out.field("description", "Created by gantry run").field("owner", owner()).field("source", url);
  out.end_object().end_object();
  return body;
}

Async<int> run_task(std::shared_ptr<Client> client, const Arguments& arguments, Interrupts& interrupts) {
  SessionTask task;
  task.id = TaskId::random(client->env()).to_string();
  task.task_queue = arguments.text("queue");
  task.definition = definition(arguments, client->url(), client->env().now());
  task.download_directory = arguments.text("download-dir");
  for (const char* option : {"artifact", "artifact-dir"}) {
    for (const auto& [name, path] : arguments.pairs(option)) task.artifacts.push_back(name);
  }
  co_await create_task(client, task);
  if (arguments.flag("detach")) {
    print(task.id + "\n");
    co_return exit_ok;
  }
  co_return co_await follow_task(client, std::move(task), interrupts);
}

/// Everything that keeps the task from being run is exit code 125: other codes are the container's own.
int run(const Arguments& arguments) {
  check(arguments);
  Interrupts interrupts;
  try {
    ServerAddress address = find_server(arguments);
    return run_to_end(
        [&](Env& env) { return run_task(std::make_shared<Client>(env, address), arguments, interrupts); });
  } catch (const Error& error) {
    Style style(STDERR_FILENO);
    say(fmt::format("{} {}", style.red("gantry:"), error.message()));
    if (!error.hint().empty()) say("        " + error.hint());
    return exit_not_run;
  }
}

std::vector<Option> options() {
  return {
      {.name = "env",
       .kind = ValueKind::pair,
       .value = "NAME=VALUE",
       .help = "set a variable of the task",
       .repeated = true},
      {.name = "artifact",
       .kind = ValueKind::pair,
       .value = "NAME=PATH",
       .help = "keep the file PATH of the container as artifact NAME, and download it at the end",
       .repeated = true},
      {.name = "artifact-dir",
       .kind = ValueKind::pair,
       .value = "NAME=PATH",
       .help = "the same for all files of a directory",
       .repeated = true},
      {.name = "download-dir",
       .kind = ValueKind::directory,
       .value = "DIR",
       .help = "where artifacts are downloaded to",
       .otherwise = "."},
      {.name = "memory", .kind = ValueKind::size, .value = "SIZE", .help = "the most memory it may use; default: 2g"},
      {.name = "cpus", .kind = ValueKind::number, .value = "N", .help = "the most cpus it may use; default: no limit"},
      {.name = "timeout",
       .kind = ValueKind::duration,
       .value = "TIME",
       .help = "the longest it may run",
       .otherwise = "1h"},
      {.name = "queue",
       .kind = ValueKind::queue,
       .value = "P/W",
       .help = "the task queue it goes to",
       .otherwise = "local/default"},
      {.name = "priority",
       .kind = ValueKind::choice,
       .value = "PRIORITY",
       .help = "which tasks go first: highest, very-high, high, medium, low, very-low or lowest",
       .otherwise = "lowest",
       .choices = priorities},
      {.name = "name", .value = "TEXT", .help = "what to call the task; default: its image and command"},
      {.name = "detach", .kind = ValueKind::flag, .help = "print the task's id and do not wait for it"},
      url_option(),
      data_dir_option(),
  };
}

}  // namespace

Command run_command() {
  return {
      .path = "run",
      .summary = "Run a command in a container, see its output, exit with its exit code",
      .details =
          "Options stand before IMAGE; what follows it is the command, or the image's own if there is none.\n"
          "The task's output goes to stdout, everything else to stderr. Ctrl-C cancels the task and waits for its "
          "end;\n"
          "a second Ctrl-C leaves at once.\n\n"
          "Exit codes: the container's own; 124 it ran out of time; 125 Gantry could not run it, or an artifact is\n"
          "missing; 130 it was cancelled; 2 the command line is wrong.",
      .arguments = {{.name = "IMAGE", .help = "the container image"},
                    {.name = "COMMAND", .help = "the command and its arguments", .required = false, .repeated = true}},
      .options = options(),
      .examples = {{"gantry run debian:12 echo hello", "The simplest task."},
                   {"gantry run --env N=3 --memory 256m --timeout 10m debian:12 sh -c 'seq $N'",
                    "With a variable and limits."},
                   {"gantry run --artifact out.txt=/tmp/out.txt debian:12 sh -c 'date > /tmp/out.txt'",
                    "Bring a file back: it is ./out.txt afterwards."},
                   {"gantry logs --follow $(gantry run --detach debian:12 sleep 60)", "Start it, look at it later."}},
      .arguments_end_options = true,
      .run = run,
  };
}

}  // namespace gantry::cli
