#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

std::string last_seen(const json::value& node) {
  if (value_at(node, "lastPollMsAgo").is_null()) return "not since the server started";
  return format_duration(Duration(number_at(node, "lastPollMsAgo"))) + " ago";
}

std::string shown_drift(Duration ahead) {
  bool behind = ahead < Duration(0);
  return fmt::format("clock {} {}", format_duration(behind ? -ahead : ahead), behind ? "behind" : "ahead");
}

Async<int> list(std::shared_ptr<Client> client, Arguments arguments) {
  json::value answer = co_await client->get("/v1/nodes");
  if (arguments.text("output") != "table") {
    print_document(value_at(answer, "nodes"), arguments.text("output"));
    co_return exit_ok;
  }
  Table table({"NAME", "QUEUE", "RUNNING", "SLOTS", "MEMORY", "VERSION", "LAST SEEN", "ID"});
  for (const json::value& node : array_at(answer, "nodes")) {
    table.add({std::string(text_at(node, "name")), std::string(text_at(node, "taskQueueId")),
               fmt::format("{}", number_at(node, "running")), fmt::format("{}", number_at(node, "slots")),
               format_bytes(number_at(node, "memoryBytes")), std::string(text_at(node, "version")), last_seen(node),
               std::string(text_at(node, "id"))});
  }
  print(table.text());
  for (const json::value& node : array_at(answer, "nodes")) {
    std::string_view trouble = text_at(node, "trouble");
    if (!trouble.empty()) say(fmt::format("{} takes no tasks: {}", text_at(node, "name"), trouble));
    if (!value_at(node, "clockAheadMs").is_null()) {
      say(fmt::format("{}: {}; set it, or the server's (timedatectl set-ntp true)", text_at(node, "name"),
                      shown_drift(Duration(number_at(node, "clockAheadMs")))));
    }
  }
  if (table.empty()) say("no node has registered; gantry dev starts one with the server");
  co_return exit_ok;
}

int run(const Arguments& arguments) { return run_with_client(arguments, list); }

}  // namespace

Command nodes_command() {
  return {.path = "nodes",
          .summary = "List the nodes that run tasks",
          .options = {output_option(), url_option(), data_dir_option()},
          .examples = {{"gantry nodes", "Every node, its queue and how much it runs."},
                       {"gantry nodes --output json", "For programs."}},
          .run = run};
}

}  // namespace gantry::cli
