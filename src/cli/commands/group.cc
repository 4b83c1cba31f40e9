// `gantry group ...`.
#include <map>

#include <fmt/format.h>

#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/commands/task_changes.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "net/http.h"

namespace gantry::cli {
namespace {

std::string group_argument(const Arguments& arguments) {
  return slug_argument(arguments, "GROUP", "task group",
                       "a group id has 22 characters; a task's is in: gantry task show TASK");
}

std::string queue_path(const std::string& group, std::string_view rest = "") {
  return fmt::format("/api/queue/v1/task-group/{}{}", group, rest);
}

/// All tasks of the group, page by page.
Async<json::array> read_tasks(std::shared_ptr<Client> client, std::string group) {
  json::array tasks;
  std::string more;
  do {
    json::value page = co_await client->get(queue_path(group, "/list" + more));
    for (const json::value& task : array_at(page, "tasks")) tasks.push_back(task);
    std::string_view token = text_at(page, "continuationToken");
    more = token.empty() ? "" : "?continuationToken=" + net::percent_encode(token);
  } while (!more.empty());
  co_return tasks;
}

std::string states_text(const json::array& tasks) {
  std::map<std::string, int> counts;
  for (const json::value& task : tasks) ++counts[std::string(text_at(value_at(task, "status"), "state"))];
  std::string text;
  for (const auto& [state, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, state);
  return text;
}

Async<int> show(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = group_argument(arguments);
  json::value group = co_await client->get("/v1/groups/" + id);
  if (arguments.text("output") != "table") {
    print_document(group, arguments.text("output"));
    co_return exit_ok;
  }
  json::array tasks = co_await read_tasks(client, id);
  std::string_view sealed = text_at(group, "sealed");
  const json::value& pulls = value_at(group, "pulls");
  bool pulling = pulls.is_bool() && pulls.get_bool();
  print(fmt::format("group      {}\nscheduler  {}\ntasks      {} ({})\nsealed     {}\npulls      {}\nexpires    {}\n",
                    id, text_at(group, "schedulerId"), tasks.size(), states_text(tasks), sealed.empty() ? "no" : sealed,
                    pulling ? "yes" : "no", text_at(group, "expires")));
  co_return exit_ok;
}

Async<int> list_tasks(std::shared_ptr<Client> client, Arguments arguments) {
  json::array tasks = co_await read_tasks(client, group_argument(arguments));
  if (arguments.text("output") != "table") {
    print_document(tasks, arguments.text("output"));
    co_return exit_ok;
  }
  Table table({"TASK", "STATE", "RUNS", "QUEUE", "PRIORITY", "NAME"});
  for (const json::value& task : tasks) {
    const json::value& status = value_at(task, "status");
    std::string_view name = text_at(value_at(value_at(task, "task"), "metadata"), "name");
    table.add({std::string(text_at(status, "taskId")), std::string(text_at(status, "state")),
               fmt::format("{}", array_at(status, "runs").size()), std::string(text_at(status, "taskQueueId")),
               std::string(text_at(status, "priority")), std::string(name)});
  }
  print(table.text());
  co_return exit_ok;
}

std::string count_text(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

void print_answer(const json::value& answer, const Arguments& arguments, const std::string& sentence) {
  if (arguments.text("output") != "table") {
    print_document(answer, arguments.text("output"));
  } else {
    say(sentence);
  }
}

Async<int> seal(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = group_argument(arguments);
  json::value group = co_await client->post(queue_path(id, "/seal"), "{}");
  print_answer(group, arguments, fmt::format("group {} is sealed since {}", id, text_at(group, "sealed")));
  co_return exit_ok;
}

Async<int> cancel(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = group_argument(arguments);
  if (arguments.flag("seal")) co_await client->post(queue_path(id, "/seal"), "{}");
  json::value answer = co_await client->post(queue_path(id, "/cancel"), "{}");
  print_answer(answer, arguments,
               fmt::format("group {}: cancelled {} of its {}", id, number_at(answer, "cancelledCount"),
                           count_text(number_at(answer, "taskGroupSize"), "task")));
  co_return exit_ok;
}

Async<int> prioritize(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = group_argument(arguments);
  json::value answer = co_await client->post(queue_path(id, "/priority"), priority_body(arguments));
  print_answer(answer, arguments,
               fmt::format("group {}: priority {} for {}", id, text_at(answer, "newPriority"),
                           count_text(number_at(answer, "tasksAffected"), "task")));
  co_return exit_ok;
}

Async<int> pulls(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = group_argument(arguments);
  bool on = arguments.argument("SWITCH") == "on";
  json::value answer =
      co_await client->put("/v1/groups/" + id + "/pulls", on ? R"({"pulls":true})" : R"({"pulls":false})");
  print_answer(answer, arguments,
               fmt::format("group {}: tasks {} what they wait for", id, on ? "pull" : "do not pull"));
  co_return exit_ok;
}

template <Async<int> (*main)(std::shared_ptr<Client>, Arguments)>
int with_client(const Arguments& arguments) {
  return run_with_client(arguments, main);
}

constexpr std::string_view switches[] = {"on", "off"};
const Argument group_id{.name = "GROUP", .help = "the group's id"};

}  // namespace

std::vector<Command> group_commands() {
  const std::vector<Option> options = {output_option(), url_option(), data_dir_option()};
  Option also_seal{.name = "seal", .kind = ValueKind::flag, .help = "seal it first, if it is not sealed yet"};
  std::vector<Option> cancel_options = options;
  cancel_options.insert(cancel_options.begin(), also_seal);
  return {
      {.path = "group show",
       .summary = "Show a task group: how many of its tasks are in which state, and whether it is sealed",
       .arguments = {group_id},
       .options = options,
       .examples = {{"gantry group show fN1SbArXTPSVFNUvaOlinQ", "For people."},
                    {"gantry group show fN1SbArXTPSVFNUvaOlinQ --output json", "For programs."}},
       .run = with_client<show>},
      {.path = "group list-tasks",
       .summary = "List the tasks of a group, the oldest first",
       .arguments = {group_id},
       .options = options,
       .examples = {{"gantry group list-tasks fN1SbArXTPSVFNUvaOlinQ", "All of them."}},
       .run = with_client<list_tasks>},
      {.path = "group seal",
       .summary = "Let no more tasks into a group",
       .arguments = {group_id},
       .options = options,
       .examples = {{"gantry group seal fN1SbArXTPSVFNUvaOlinQ", "It cannot be opened again."}},
       .run = with_client<seal>},
      {.path = "group cancel",
       .summary = "Cancel all tasks of a sealed group that have not ended",
       .arguments = {group_id},
       .options = cancel_options,
       .examples = {{"gantry group cancel fN1SbArXTPSVFNUvaOlinQ --seal", "Whatever its state."}},
       .run = with_client<cancel>},
      {.path = "group priority",
       .summary = "Change the priority of all tasks of a group that have not ended",
       .arguments = {group_id, priority_argument()},
       .options = options,
       .examples = {{"gantry group priority fN1SbArXTPSVFNUvaOlinQ low", "They move in their lines at once."}},
       .run = with_client<prioritize>},
      {.path = "group pulls",
       .summary = "Say whether tasks of a group give what they wait for their own priority",
       .details = "Priority inheritance: an urgent task pulls its dependencies, and they pull theirs.",
       .arguments = {group_id, {.name = "SWITCH", .help = "on or off", .choices = switches}},
       .options = options,
       .examples = {{"gantry group pulls fN1SbArXTPSVFNUvaOlinQ on", "What was pulled stays so after `off`."}},
       .run = with_client<pulls>},
  };
}

}  // namespace gantry::cli
