// `gantry task explain|schedule|rerun|priority`.
#include "cli/commands/task_changes.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"

namespace gantry::cli {

std::string slug_argument(const Arguments& arguments, std::string_view name, std::string_view what,
                          std::string_view hint) {
  std::string text = arguments.argument(name);
  if (!TaskId::parse(text)) {
    throw UsageError(fmt::format("\"{}\" is not a {} id", shorten(text, 60), what), std::string(hint));
  }
  return text;
}

namespace {

constexpr std::size_t shown_max = 20;  // dependencies, claimers

std::string task_argument(const Arguments& arguments) {
  return slug_argument(arguments, "TASK", "task",
                       "a task id has 22 characters, such as fN1SbArXTPSVFNUvaOlinQ; see: gantry task list");
}

std::string claimer_text(const json::value& claimer) {
  std::string text = fmt::format("  {}", shorten(text_at(claimer, "worker"), 100));
  bool node = !text_at(claimer, "nodeId").empty();
  bool large = value_at(claimer, "largeEnough").is_bool() && value_at(claimer, "largeEnough").get_bool();
  bool room = value_at(claimer, "hasRoom").is_bool() && value_at(claimer, "hasRoom").get_bool();
  if (!large) {
    text += ": too small for this task";
  } else if (!room) {
    text += ": has no room now";
  } else {
    text += ": has room";
  }
  if (node)
    text += fmt::format(", last heard of {} ago", format_duration(Duration(number_at(claimer, "lastPollMsAgo"))));
  if (auto last = text_at(claimer, "lastActive"); !last.empty()) text += fmt::format(", last claimed at {}", last);
  if (auto trouble = text_at(claimer, "trouble"); !trouble.empty()) text += fmt::format(", in trouble: {}", trouble);
  return text + "\n";
}

std::string dependency_text(const json::value& dependency) {
  std::string_view state = text_at(dependency, "state");
  return fmt::format("  {}: {}\n", text_at(dependency, "taskId"), state.empty() ? "gone" : state);
}

/// What stands in `list`, at most shown_max of `count`, under a heading.
std::string section(std::string_view heading, const json::array& list, std::int64_t count,
                    std::string (*line)(const json::value&)) {
  if (list.empty()) return {};
  std::string out = fmt::format("\n{}:\n", heading);
  for (std::size_t i = 0; i < list.size() && i < shown_max; ++i) out += line(list[i]);
  auto shown = static_cast<std::int64_t>(std::min(list.size(), shown_max));
  if (count > shown) out += fmt::format("  and {} more\n", count - shown);
  return out;
}

std::string explanation_text(const json::value& explanation, const Style& style) {
  std::string out = fmt::format("{}\n", style.bold(text_at(explanation, "summary")));
  std::string_view pulled = text_at(explanation, "pulledTo");
  out += fmt::format("\npriority {}{}, {} retries left, deadline {}\n", text_at(explanation, "priority"),
                     pulled.empty() ? "" : fmt::format(" (pulled to {} by what waits for it)", pulled),
                     number_at(explanation, "retriesLeft"), text_at(explanation, "deadline"));
  const json::value& waits = value_at(explanation, "waitsFor");
  out += section("It waits for", array_at(waits, "tasks"), number_at(waits, "unmet"), dependency_text);
  const json::array& claimers = array_at(value_at(explanation, "line"), "claimers");
  out += section("Who claims from its queue", claimers, static_cast<std::int64_t>(claimers.size()), claimer_text);
  const json::value& last = value_at(explanation, "lastClaim");
  if (!last.is_null()) {
    out += fmt::format("\nRun {} was claimed by {} at {}", number_at(last, "runId"), text_at(last, "worker"),
                       text_at(last, "started"));
    bool running = text_at(explanation, "state") == "running";
    out += running ? fmt::format("; the claim holds until {}.\n", text_at(last, "takenUntil")) : ".\n";
  }
  return out;
}

Async<int> explain(std::shared_ptr<Client> client, Arguments arguments) {
  json::value explanation = co_await client->get(fmt::format("/v1/tasks/{}/explain", task_argument(arguments)));
  if (arguments.text("output") != "table") {
    print_document(explanation, arguments.text("output"));
  } else {
    print(explanation_text(explanation, Style(STDOUT_FILENO)));
  }
  co_return exit_ok;
}

/// Prints what became of the task: its state, or all of its status.
void print_status(const json::value& answer, const Arguments& arguments) {
  const json::value& status = value_at(answer, "status");
  if (arguments.text("output") != "table") {
    print_document(status, arguments.text("output"));
    return;
  }
  say(fmt::format("task {}: {}, priority {}", text_at(status, "taskId"), text_at(status, "state"),
                  text_at(status, "priority")));
}

Async<int> change(std::shared_ptr<Client> client, Arguments arguments, std::string_view verb, std::string body) {
  std::string target = fmt::format("/api/queue/v1/task/{}/{}", task_argument(arguments), verb);
  print_status(co_await client->post(std::move(target), std::move(body)), arguments);
  co_return exit_ok;
}

Async<int> schedule(std::shared_ptr<Client> client, Arguments arguments) {
  return change(std::move(client), std::move(arguments), "schedule", "{}");
}
Async<int> rerun(std::shared_ptr<Client> client, Arguments arguments) {
  return change(std::move(client), std::move(arguments), "rerun", "{}");
}
Async<int> prioritize(std::shared_ptr<Client> client, Arguments arguments) {
  std::string body = priority_body(arguments);
  return change(std::move(client), std::move(arguments), "priority", std::move(body));
}

template <Async<int> (*main)(std::shared_ptr<Client>, Arguments)>
int with_client(const Arguments& arguments) {
  return run_with_client(arguments, main);
}

const Argument task_id{.name = "TASK", .help = "the task's id"};

}  // namespace

std::string priority_body(const Arguments& arguments) {
  return fmt::format("{{\"newPriority\":\"{}\"}}", arguments.argument("PRIORITY"));
}

Argument priority_argument() {
  static constexpr std::string_view priorities[] = {"highest", "very-high", "high",  "medium",
                                                    "low",     "very-low",  "lowest"};
  return {
      .name = "PRIORITY", .help = "highest, very-high, high, medium, low, very-low or lowest", .choices = priorities};
}

std::vector<Command> task_change_commands() {
  const std::vector<Option> options = {output_option(), url_option(), data_dir_option()};
  return {
      {.path = "task explain",
       .summary = "Say why a task stands where it stands",
       .details = "Where it stands in line and who could take it, or what it still waits for; who had it last.",
       .arguments = {task_id},
       .options = options,
       .examples = {{"gantry task explain fN1SbArXTPSVFNUvaOlinQ", "Why is it still pending?"},
                    {"gantry task explain fN1SbArXTPSVFNUvaOlinQ --output json", "For programs."}},
       .run = with_client<explain>},
      {.path = "task schedule",
       .summary = "Let an unscheduled task run, whatever it waits for",
       .arguments = {task_id},
       .options = options,
       .examples = {{"gantry task schedule fN1SbArXTPSVFNUvaOlinQ", "Does nothing if it is scheduled already."}},
       .run = with_client<schedule>},
      {.path = "task rerun",
       .summary = "Run a task again that has ended",
       .details = "It gets a new run and all of its retries back. What was released by its first end stays released.",
       .arguments = {task_id},
       .options = options,
       .examples = {{"gantry task rerun fN1SbArXTPSVFNUvaOlinQ", "Until its deadline, 50 runs at most."}},
       .run = with_client<rerun>},
      {.path = "task priority",
       .summary = "Change the priority of a task that has not ended",
       .arguments = {task_id, priority_argument()},
       .options = options,
       .examples = {{"gantry task priority fN1SbArXTPSVFNUvaOlinQ high", "It moves in its line at once."}},
       .run = with_client<prioritize>},
  };
}

}  // namespace gantry::cli
