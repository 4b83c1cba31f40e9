#include <fmt/format.h>

#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "net/http.h"

namespace gantry::cli {
namespace {

std::string ago(Time now, std::string_view then) {
  auto time = parse_time(then);
  return time ? format_duration(std::max(now - *time, Duration(0))) + " ago" : std::string("unknown");
}

Async<int> list(std::shared_ptr<Client> client, Arguments arguments) {
  json::value answer = co_await client->get("/v1/caches");
  if (arguments.text("output") != "table") {
    print_document(value_at(answer, "caches"), arguments.text("output"));
    co_return exit_ok;
  }
  Table table({"NAME", "QUEUE", "NODE", "INSTANCES", "IN USE", "LAST USED"});
  for (const json::value& cache : array_at(answer, "caches")) {
    table.add({std::string(text_at(cache, "name")), std::string(text_at(cache, "taskQueueId")),
               std::string(text_at(cache, "node")), fmt::format("{}", number_at(cache, "instances")),
               fmt::format("{}", number_at(cache, "inUse")), ago(client->env().now(), text_at(cache, "lastUsed"))});
  }
  print(table.text());
  if (table.empty()) say("no node has a cache; a task makes one with payload.cache");
  co_return exit_ok;
}

Async<int> purge(std::shared_ptr<Client> client, Arguments arguments) {
  std::string queue = arguments.argument("QUEUE");
  std::string name = arguments.argument("NAME");
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("cacheName", name).end_object();
  co_await client->post("/api/purge-cache/v1/purge-cache/" + net::percent_encode(queue), std::move(body));
  say(fmt::format(
      "no task of {} that begins from now on gets what is in cache \"{}\": each node removes it before its\n"
      "next task with a cache, or within an hour; what a running task has goes when that ends",
      queue, name));
  co_return exit_ok;
}

int run_list(const Arguments& arguments) { return run_with_client(arguments, list); }
int run_purge(const Arguments& arguments) { return run_with_client(arguments, purge); }

}  // namespace

std::vector<Command> cache_commands() {
  return {
      {.path = "cache list",
       .summary = "List the caches of all nodes",
       .details = "As the nodes told it in the last ten seconds. A cache has as many instances on a node as tasks have "
                  "used it\n"
                  "there at once.",
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry cache list", "Every cache, and how many of its instances are in use."},
                    {"gantry cache list --output json", "For programs."}},
       .run = run_list},
      {.path = "cache purge",
       .summary = "Have a cache thrown away on all nodes of a queue",
       .details = "Tasks that run keep what they have. It needs the scope purge-cache:QUEUE:NAME.",
       .arguments = {{.name = "QUEUE", .help = "the task queue, such as local/default"},
                     {.name = "NAME", .help = "the cache, as in payload.cache"}},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry cache purge local/default build", "The next task begins with an empty one."}},
       .run = run_purge},
  };
}

}  // namespace gantry::cli
