// `gantry task ...`, `gantry ps` and `gantry logs`.
#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/commands/task_show.h"
#include "cli/credentials.h"
#include "cli/download.h"
#include "cli/log_follower.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "wire/task_definition.h"

namespace gantry::cli {
namespace {

constexpr std::string_view states[] = {"pending", "running", "completed", "failed", "exception", "unscheduled"};
constexpr Duration deadline_default = hours(24);
constexpr std::size_t stdin_step_bytes = 64 * 1024;

/// A task id as it was typed.
std::string task_argument(const Arguments& arguments, std::string_view name = "TASK") {
  std::string text = arguments.argument(name);
  if (!TaskId::parse(text)) {
    throw UsageError(fmt::format("\"{}\" is not a task id", shorten(text, 60)),
                     "a task id has 22 characters, such as fN1SbArXTPSVFNUvaOlinQ; see: gantry task list");
  }
  return text;
}

std::string read_stdin() {
  std::string text;
  for (;;) {
    std::size_t size = text.size();
    text.resize(size + stdin_step_bytes);
    ssize_t got = ::read(STDIN_FILENO, text.data() + size, stdin_step_bytes);
    if (got < 0) throw Error(ErrorCode::unavailable, "cannot read standard input");
    text.resize(size + static_cast<std::size_t>(got));
    if (got == 0) return text;
    if (text.size() > wire::definition_bytes_max) {
      throw Error(ErrorCode::too_large,
                  fmt::format("a task definition has at most {} bytes", wire::definition_bytes_max));
    }
  }
}

Async<int> create(std::shared_ptr<Client> client, Arguments arguments) {
  std::string file = arguments.argument("FILE");
  std::string text = file == "-" ? read_stdin() : read_text_file(file, wire::definition_bytes_max);
  auto document = parse_json(text);
  if (!document) throw document.error().in(file == "-" ? "standard input" : file);
  json::object* task = document.value().if_object();
  if (!task) throw Error(ErrorCode::invalid_input, fmt::format("{}: a task definition is a JSON object", file));
  Time now = client->env().now();
  if (!task->contains("created")) (*task)["created"] = format_time(now);
  if (!task->contains("deadline")) (*task)["deadline"] = format_time(now + deadline_default);
  std::string id = TaskId::random(client->env()).to_string();
  std::string body;
  append_canonical_json(body, document.value());
  co_await client->put("/api/queue/v1/task/" + id, body);
  print(id + "\n");
  co_return exit_ok;
}

std::string name_of_task(const json::value& status) {
  const json::array& runs = array_at(status, "runs");
  return runs.empty() ? "" : std::string(text_at(runs.back(), "workerId"));
}

std::string since(Time now, std::string_view text) {
  auto then = parse_time(text);
  return then ? format_duration(std::max(now - *then, Duration(0))) : "";
}

void print_tasks(const json::array& tasks, Time now) {
  Table table({"TASK", "STATE", "RUNS", "QUEUE", "PRIORITY", "AGE", "WORKER"});
  for (const json::value& task : tasks) {
    const json::value& status = value_at(task, "status");
    table.add({std::string(text_at(status, "taskId")), std::string(text_at(status, "state")),
               fmt::format("{}", array_at(status, "runs").size()), std::string(text_at(status, "taskQueueId")),
               std::string(text_at(status, "priority")), since(now, text_at(task, "created")), name_of_task(status)});
  }
  print(table.text());
}

Async<int> print_list(std::shared_ptr<Client> client, std::vector<std::string> wanted, std::string format) {
  json::array tasks;
  bool more = false;
  for (const std::string& state : wanted) {
    json::value answer = co_await client->get("/v1/tasks" + (state.empty() ? "" : "?state=" + state));
    for (const json::value& task : array_at(answer, "tasks")) tasks.push_back(task);
    const json::value& cut = value_at(answer, "more");
    more = more || (cut.is_bool() && cut.get_bool());
  }
  if (format != "table") {
    print_document(tasks, format);
  } else {
    print_tasks(tasks, client->env().now());
    if (tasks.empty()) say("no tasks; create one with: gantry run IMAGE COMMAND");
  }
  if (more) say("there are more; these are the newest");
  co_return exit_ok;
}

Async<int> list(std::shared_ptr<Client> client, Arguments arguments) {
  co_return co_await print_list(client, {arguments.text("state")}, arguments.text("output"));
}

Async<int> ps(std::shared_ptr<Client> client, Arguments arguments) {
  co_return co_await print_list(client, {"running", "pending"}, arguments.text("output"));
}

Async<int> show(std::shared_ptr<Client> client, Arguments arguments) {
  json::value task = co_await client->get("/v1/tasks/" + task_argument(arguments));
  if (arguments.text("output") != "table") {
    print_document(task, arguments.text("output"));
  } else {
    print(task_summary(task, Style(STDOUT_FILENO)));
  }
  co_return exit_ok;
}

/// What is there of a log, or all of it as it comes.
Async<int> logs(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = task_argument(arguments);
  json::value task = co_await client->get("/v1/tasks/" + id);
  auto runs = static_cast<int>(array_at(task, "runs").size());
  int run = arguments.has("run") ? static_cast<int>(arguments.count("run")) : runs - 1;
  if (run < 0 || run >= runs) {
    throw Error(ErrorCode::not_found, fmt::format("task {} has no run {}", id, std::max(run, 0)),
                fmt::format("see: gantry task show {}", id));
  }
  std::string_view state = text_at(array_at(task, "runs")[static_cast<std::size_t>(run)], "state");
  bool active = state == "pending" || state == "running";
  if (active && !arguments.flag("follow")) {
    net::OpenResponse response = co_await client->open(log_target(id, run, 0) + "&follow=false", seconds(30));
    for (std::string piece = co_await response.body->read_some(); !piece.empty();
         piece = co_await response.body->read_some()) {
      print(piece);
    }
    co_return exit_ok;
  }
  auto patience = std::make_shared<Patience>(client->env());
  co_await follow_log(client, id, run, patience, [](std::string bytes) { print(bytes); });
  co_return exit_ok;
}

/// What became of it: the API calls it an exception, and one that had ended before is not cancelled any more.
std::string_view cancelled_text(const json::value& status) {
  const json::array& runs = array_at(status, "runs");
  bool cancelled = !runs.empty() && text_at(runs.back(), "reasonResolved") == "canceled";
  return cancelled ? "cancelled" : text_at(status, "state");
}

Async<int> cancel(std::shared_ptr<Client> client, Arguments arguments) {
  int failed = 0;
  std::vector<std::string> ids = arguments.arguments("TASK");
  for (const std::string& id : ids) {
    std::optional<Error> failure;
    try {
      if (!TaskId::parse(id)) throw Error(ErrorCode::invalid_input, "is not a task id");
      json::value answer = co_await client->post(fmt::format("/api/queue/v1/task/{}/cancel", id), "{}");
      say(fmt::format("task {}: {}", id, cancelled_text(value_at(answer, "status"))));
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) continue;
    if (ids.size() == 1) throw *failure;
    say(fmt::format("gantry: task {}: {}", shorten(id, 60), failure->message()));
    ++failed;
  }
  co_return failed == 0 ? exit_ok : exit_failed;
}

Async<int> artifacts(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = task_argument(arguments);
  int run = arguments.has("run") ? static_cast<int>(arguments.count("run")) : -1;
  std::vector<ArtifactEntry> entries = co_await list_artifacts(client, id, run);
  if (arguments.text("output") != "table") {
    json::array out;
    for (const ArtifactEntry& entry : entries) {
      json::object object{{"name", entry.name},
                          {"storageType", entry.type},
                          {"contentType", entry.content_type},
                          {"expires", entry.expires}};
      if (entry.bytes >= 0) object["contentLength"] = entry.bytes;
      out.push_back(std::move(object));
    }
    print_document(out, arguments.text("output"));
    co_return exit_ok;
  }
  Table table({"NAME", "SIZE", "TYPE", "CONTENT"});
  for (const ArtifactEntry& entry : entries) {
    table.add({entry.name, entry.bytes < 0 ? "" : format_bytes(entry.bytes), entry.type, entry.content_type});
  }
  print(table.text());
  if (entries.empty()) say("the task has no artifacts");
  co_return exit_ok;
}

Async<int> download(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = task_argument(arguments);
  std::string name = arguments.argument("NAME");
  int run = arguments.has("run") ? static_cast<int>(arguments.count("run")) : -1;
  std::string path = arguments.text("file");
  if (path.empty()) path = local_path(".", name.substr(name.rfind('/') + 1));
  std::int64_t bytes = co_await download_artifact(client, id, run, name, path);
  if (path != "-") say(fmt::format("artifact {}: {} bytes in {}", name, bytes, path));
  co_return exit_ok;
}

template <Async<int> (*main)(std::shared_ptr<Client>, Arguments)>
int with_client(const Arguments& arguments) {
  return run_with_client(arguments, main);
}

Option run_option() {
  return {.name = "run", .kind = ValueKind::count, .value = "N", .help = "which run, from 0; default: the newest"};
}

Option follow_option() { return {.name = "follow", .kind = ValueKind::flag, .help = "go on until the run has ended"}; }

const Argument task_id{.name = "TASK", .help = "the task's id"};

}  // namespace

Command ps_command() {
  return {.path = "ps",
          .summary = "List the tasks that run or wait",
          .options = {output_option(), url_option(), data_dir_option()},
          .examples = {{"gantry ps", "What runs, then what waits; the newest first."}},
          .run = with_client<ps>};
}

Command logs_command() {
  return {.path = "logs",
          .summary = "Print the log of a task",
          .details = "The log holds the task's output and, in lines that begin with [taskcluster, what the node did.",
          .arguments = {task_id},
          .options = {follow_option(), run_option(), url_option(), data_dir_option()},
          .examples = {{"gantry logs fN1SbArXTPSVFNUvaOlinQ", "What it has written so far."},
                       {"gantry logs fN1SbArXTPSVFNUvaOlinQ --follow", "And what is still to come."}},
          .run = with_client<logs>};
}

std::vector<Command> task_commands() {
  Command logs_again = logs_command();
  logs_again.path = "task logs";
  logs_again.examples = {{"gantry task logs fN1SbArXTPSVFNUvaOlinQ --run 0", "The log of its first run."}};
  return {
      {.path = "task create",
       .summary = "Create a task from a definition in JSON and print its id",
       .details = "The definition is Taskcluster's. Without `created` and `deadline` it gets now, and a day from now.",
       .arguments = {{.name = "FILE", .help = "a file with the definition; - is standard input"}},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry task create task.json", "From a file."},
                    {"jq .task template.json | gantry task create -", "From another program."}},
       .run = with_client<create>},
      {.path = "task list",
       .summary = "List tasks, the newest first",
       .options = {{.name = "state",
                    .kind = ValueKind::choice,
                    .value = "STATE",
                    .help = "only those in this state",
                    .choices = states},
                   output_option(),
                   url_option(),
                   data_dir_option()},
       .examples = {{"gantry task list --state failed", "Those that failed."},
                    {"gantry task list --output json", "For programs."}},
       .run = with_client<list>},
      {.path = "task show",
       .summary = "Show what is known of a task: its state, its runs, when what happened",
       .arguments = {task_id},
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry task show fN1SbArXTPSVFNUvaOlinQ", "For people."},
                    {"gantry task show fN1SbArXTPSVFNUvaOlinQ --output yaml", "All of it."}},
       .run = with_client<show>},
      std::move(logs_again),
      {.path = "task cancel",
       .summary = "Cancel tasks",
       .arguments = {{.name = "TASK", .help = "the ids of the tasks", .repeated = true}},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry task cancel fN1SbArXTPSVFNUvaOlinQ", "Kills its container if it runs."}},
       .run = with_client<cancel>},
      {.path = "task artifacts",
       .summary = "List the artifacts of a task",
       .arguments = {task_id},
       .options = {run_option(), output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry task artifacts fN1SbArXTPSVFNUvaOlinQ", "Those of its newest run."}},
       .run = with_client<artifacts>},
      {.path = "task download",
       .summary = "Download an artifact",
       .arguments = {task_id, {.name = "NAME", .help = "the artifact's name"}},
       .options = {{.name = "file",
                    .kind = ValueKind::file,
                    .value = "FILE",
                    .help = "where to put it; - is standard output; default: the last part of its name, here"},
                   run_option(),
                   url_option(),
                   data_dir_option()},
       .examples = {{"gantry task download fN1SbArXTPSVFNUvaOlinQ public/out.txt", "Into ./out.txt."},
                    {"gantry task download fN1SbArXTPSVFNUvaOlinQ public/out.txt --file -", "To the terminal."}},
       .run = with_client<download>},
  };
}

}  // namespace gantry::cli
