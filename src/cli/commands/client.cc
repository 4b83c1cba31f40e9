// `gantry client ...`: lasting credentials.
#include "cli/client.h"

#include <fmt/format.h>

#include "cli/commands/access_output.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "net/http.h"

namespace gantry::cli {
namespace {

constexpr int pages_max = 1'000;

std::string target(const std::string& id, std::string_view verb = {}) {
  return fmt::format("/api/auth/v1/clients/{}{}", net::percent_encode(id), verb);
}

void show_client(const json::value& client, const std::string& format) {
  if (format != "table") {
    print_document(client, format);
    return;
  }
  print(record_text(client));
  if (!text_at(client, "accessToken").empty()) say("the access token is not shown again: keep it now");
}

Async<int> list(std::shared_ptr<Client> client, Arguments arguments) {
  json::array clients;
  std::string next;
  for (int page = 0; page == 0 || (!next.empty() && page < pages_max); ++page) {
    std::string query = "?prefix=" + net::percent_encode(arguments.argument("PREFIX"));
    if (!next.empty()) query += "&continuationToken=" + net::percent_encode(next);
    json::value answer = co_await client->get("/api/auth/v1/clients/" + query);
    for (const json::value& one : array_at(answer, "clients")) clients.push_back(one);
    next = text_at(answer, "continuationToken");
  }
  if (arguments.text("output") != "table") {
    print_document(clients, arguments.text("output"));
    co_return exit_ok;
  }
  Table table({"CLIENT", "STATE", "EXPIRES", "LAST USED", "SCOPES"});
  for (const json::value& one : clients) {
    const json::value& disabled = value_at(one, "disabled");
    auto expires = parse_time(text_at(one, "expires"));
    bool over = expires && *expires <= client->env().now();
    std::string state = disabled.is_bool() && disabled.get_bool() ? "disabled" : over ? "expired" : "enabled";
    table.add({std::string(text_at(one, "clientId")), state, std::string(text_at(one, "expires")),
               std::string(text_at(one, "lastDateUsed")), scopes_summary(one)});
  }
  print(table.text());
  if (clients.empty()) say("no clients; create one with: gantry client create CLIENT --scope SCOPE");
  co_return exit_ok;
}

Async<int> show(std::shared_ptr<Client> client, Arguments arguments) {
  show_client(co_await client->get(target(arguments.argument("CLIENT"))), arguments.text("output"));
  co_return exit_ok;
}

Async<int> create(std::shared_ptr<Client> client, Arguments arguments) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("description", arguments.text("description"));
  out.field("expires", client->env().now() + arguments.duration("expires"));
  out.field("deleteOnExpiration", arguments.flag("delete-on-expiration"));
  append_texts(out, "scopes", arguments.texts("scope"));
  out.end_object();
  show_client(co_await client->put(target(arguments.argument("CLIENT")), body), arguments.text("output"));
  co_return exit_ok;
}

Async<int> reset_token(std::shared_ptr<Client> client, Arguments arguments) {
  show_client(co_await client->post(target(arguments.argument("CLIENT"), "/reset"), "{}"), arguments.text("output"));
  co_return exit_ok;
}

Async<int> enable(std::shared_ptr<Client> client, Arguments arguments) {
  co_await client->post(target(arguments.argument("CLIENT"), "/enable"), "{}");
  say(fmt::format("client {}: enabled", arguments.argument("CLIENT")));
  co_return exit_ok;
}

Async<int> disable(std::shared_ptr<Client> client, Arguments arguments) {
  co_await client->post(target(arguments.argument("CLIENT"), "/disable"), "{}");
  say(fmt::format("client {}: disabled", arguments.argument("CLIENT")));
  co_return exit_ok;
}

Async<int> remove(std::shared_ptr<Client> client, Arguments arguments) {
  co_await client->remove(target(arguments.argument("CLIENT")));
  say(fmt::format("client {}: deleted", arguments.argument("CLIENT")));
  co_return exit_ok;
}

template <Async<int> (*main)(std::shared_ptr<Client>, Arguments)>
int with_client(const Arguments& arguments) {
  return run_with_client(arguments, main);
}

const Argument client_argument{.name = "CLIENT", .help = "the client's id, such as ci/build-bot"};

}  // namespace

std::vector<Command> client_commands() {
  return {
      {.path = "client list",
       .summary = "List clients and when they were last used",
       .arguments = {{.name = "PREFIX", .help = "only those whose id begins with it", .required = false}},
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry client list ci/", "Those whose ids begin with ci/."},
                    {"gantry client list --output json", "For programs."}},
       .run = with_client<list>},
      {.path = "client show",
       .summary = "Show a client, its scopes and what roles make of them",
       .arguments = {client_argument},
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry client show ci/build-bot", "Everything but its access token."}},
       .run = with_client<show>},
      {.path = "client create",
       .summary = "Create a client and print its access token, once",
       .details = "You can only give it scopes that you hold yourself.",
       .arguments = {client_argument},
       .options = {{.name = "scope", .value = "SCOPE", .help = "what it may do; can be repeated", .repeated = true},
                   {.name = "description", .value = "TEXT", .help = "what it is for, and whose it is"},
                   {.name = "expires",
                    .kind = ValueKind::duration,
                    .value = "DURATION",
                    .help = "for how long it is good",
                    .otherwise = "365d"},
                   {.name = "delete-on-expiration",
                    .kind = ValueKind::flag,
                    .help = "delete it then; without this it stays and can be given a later end"},
                   output_option(),
                   url_option(),
                   data_dir_option()},
       .examples = {{"gantry client create ci/build-bot --scope 'queue:create-task:low:local/*' --expires 90d",
                     "One that may create tasks."},
                    {"gantry client create ci/x --scope assume:ci --output json > x.json", "Into a file."}},
       .run = with_client<create>},
      {.path = "client reset-token",
       .summary = "Give a client a new access token and print it, once; the old one ends",
       .arguments = {client_argument},
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry client reset-token ci/build-bot", "After its token was lost, or seen."}},
       .run = with_client<reset_token>},
      {.path = "client enable",
       .summary = "Let a disabled client in again",
       .arguments = {client_argument},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry client enable ci/build-bot", "With the access token that it had."}},
       .run = with_client<enable>},
      {.path = "client disable",
       .summary = "Keep a client out, with every credential that it has issued",
       .arguments = {client_argument},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry client disable ci/build-bot", "At once; it stays on record."}},
       .run = with_client<disable>},
      {.path = "client delete",
       .summary = "Delete a client",
       .arguments = {client_argument},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry client delete ci/build-bot", "Roles that were made for it stay."}},
       .run = with_client<remove>},
  };
}

}  // namespace gantry::cli
