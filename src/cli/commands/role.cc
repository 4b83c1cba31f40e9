// `gantry role ...`: named sets of scopes.
#include <fmt/format.h>

#include "cli/client.h"
#include "cli/commands/access_output.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "net/http.h"

namespace gantry::cli {
namespace {

constexpr int pages_max = 1'000;

std::string target(const std::string& id) { return "/api/auth/v1/roles/" + net::percent_encode(id); }

void show_role(const json::value& role, const std::string& format) {
  if (format != "table") {
    print_document(role, format);
  } else {
    print(record_text(role));
  }
}

Async<int> list(std::shared_ptr<Client> client, Arguments arguments) {
  json::array roles;
  std::string next;
  for (int page = 0; page == 0 || (!next.empty() && page < pages_max); ++page) {
    std::string query = next.empty() ? "" : "?continuationToken=" + net::percent_encode(next);
    json::value answer = co_await client->get("/api/auth/v1/roles2/" + query);
    for (const json::value& role : array_at(answer, "roles")) roles.push_back(role);
    next = text_at(answer, "continuationToken");
  }
  if (arguments.text("output") != "table") {
    print_document(roles, arguments.text("output"));
    co_return exit_ok;
  }
  Table table({"ROLE", "SCOPES", "DESCRIPTION"});
  for (const json::value& role : roles) {
    table.add({std::string(text_at(role, "roleId")), scopes_summary(role), std::string(text_at(role, "description"))});
  }
  print(table.text());
  if (roles.empty()) say("no roles; make one with: gantry role set ROLE --scope SCOPE");
  co_return exit_ok;
}

Async<int> show(std::shared_ptr<Client> client, Arguments arguments) {
  show_role(co_await client->get(target(arguments.argument("ROLE"))), arguments.text("output"));
  co_return exit_ok;
}

/// What it is now; null if it is not there.
Async<json::value> find_role(std::shared_ptr<Client> client, std::string id) {
  std::optional<Error> failure;
  json::value role;
  try {
    role = co_await client->get(target(id));
  } catch (const Error& error) {
    failure = error;
  }
  if (failure && failure->code() != ErrorCode::not_found) throw *failure;
  co_return role;
}

Async<int> set(std::shared_ptr<Client> client, Arguments arguments) {
  std::string id = arguments.argument("ROLE");
  json::value role = co_await find_role(client, id);
  std::string description =
      arguments.has("description") ? arguments.text("description") : std::string(text_at(role, "description"));
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("description", description);
  append_texts(out, "scopes", arguments.texts("scope"));
  out.end_object();
  if (role.is_null()) {
    role = co_await client->put(target(id), body);
  } else {
    role = co_await client->post(target(id), body);
  }
  show_role(role, arguments.text("output"));
  co_return exit_ok;
}

Async<int> remove(std::shared_ptr<Client> client, Arguments arguments) {
  co_await client->remove(target(arguments.argument("ROLE")));
  say(fmt::format("role {}: deleted", arguments.argument("ROLE")));
  co_return exit_ok;
}

template <Async<int> (*main)(std::shared_ptr<Client>, Arguments)>
int with_client(const Arguments& arguments) {
  return run_with_client(arguments, main);
}

const Argument role_argument{.name = "ROLE", .help = "the role's id; whoever holds assume:ROLE has its scopes"};

}  // namespace

std::vector<Command> role_commands() {
  return {
      {.path = "role list",
       .summary = "List roles",
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry role list", "Every role, with its scope or how many it has."}},
       .run = with_client<list>},
      {.path = "role show",
       .summary = "Show a role, its scopes and what they expand to",
       .arguments = {role_argument},
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry role show anonymous", "What everybody may do."}},
       .run = with_client<show>},
      {.path = "role set",
       .summary = "Make a role, or give one other scopes",
       .details =
           "The scopes take the place of those that it had. A role whose id ends in * is assumed by everything that\n"
           "begins like it; <..> in its scopes is then what comes after.",
       .arguments = {role_argument},
       .options = {{.name = "scope", .value = "SCOPE", .help = "what it stands for; can be repeated", .repeated = true},
                   {.name = "description", .value = "TEXT", .help = "what it is for; default: as it is"},
                   output_option(),
                   url_option(),
                   data_dir_option()},
       .examples = {{"gantry role set ci --scope 'queue:create-task:low:local/*' --scope queue:scheduler-id:-",
                     "For clients that hold assume:ci."},
                    {"gantry role set 'repo:*' --scope 'queue:route:index.<..>.*'", "With a parameter."}},
       .run = with_client<set>},
      {.path = "role delete",
       .summary = "Delete a role",
       .arguments = {role_argument},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry role delete ci", "Whoever assumes it has its scopes no more."}},
       .run = with_client<remove>},
  };
}

}  // namespace gantry::cli
