// `gantry secret ...`: named JSON objects that only those see who may. A value never stands on a command line.
#include <fmt/format.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands/access_output.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "net/http.h"

namespace gantry::cli {
namespace {

constexpr int pages_max = 1'000;
constexpr std::size_t value_bytes_max = 64 * 1024;  // what the server takes

std::string target(const std::string& name) { return "/api/secrets/v1/secret/" + net::percent_encode(name); }

Async<int> list(std::shared_ptr<Client> client, Arguments arguments) {
  json::array names;
  std::string next;
  for (int page = 0; page == 0 || (!next.empty() && page < pages_max); ++page) {
    std::string query = next.empty() ? "" : "?continuationToken=" + net::percent_encode(next);
    json::value answer = co_await client->get("/api/secrets/v1/secrets" + query);
    for (const json::value& name : array_at(answer, "secrets")) names.push_back(name);
    next = text_at(answer, "continuationToken");
  }
  if (arguments.text("output") != "table") {
    print_document(names, arguments.text("output"));
    co_return exit_ok;
  }
  Table table({"SECRET"});
  for (const json::value& name : names) {
    if (name.is_string()) table.add({std::string(name.get_string())});
  }
  print(table.text());
  if (names.empty()) say("no secrets; set one with: gantry secret set NAME --file FILE");
  co_return exit_ok;
}

Async<int> get(std::shared_ptr<Client> client, Arguments arguments) {
  json::value answer = co_await client->get(target(arguments.argument("NAME")));
  std::string format = arguments.text("output");
  print_document(value_at(answer, "secret"), format == "table" ? "json" : format);
  co_return exit_ok;
}

Async<int> set(std::shared_ptr<Client> client, Arguments arguments) {
  std::string file = arguments.text("file");
  bool typed = file == "-" && is_terminal(STDIN_FILENO);
  if (typed) say("type the secret, a JSON object, and then Ctrl-D:");
  std::string text = read_input(file, value_bytes_max);
  auto value = parse_json(text);
  // The parser's message says where, not what.
  if (!value) throw value.error().in(file == "-" ? "standard input" : file);
  if (!value.value().is_object()) {
    throw Error(ErrorCode::invalid_input, "a secret is a JSON object", "for example {\"password\": \"...\"}");
  }
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("secret").raw(text);
  out.field("expires", client->env().now() + arguments.duration("expires")).end_object();
  std::string name = arguments.argument("NAME");
  co_await client->put(target(name), body);
  say(fmt::format("secret {}: set", name));
  co_return exit_ok;
}

Async<int> remove(std::shared_ptr<Client> client, Arguments arguments) {
  co_await client->remove(target(arguments.argument("NAME")));
  say(fmt::format("secret {}: deleted", arguments.argument("NAME")));
  co_return exit_ok;
}

template <Async<int> (*main)(std::shared_ptr<Client>, Arguments)>
int with_client(const Arguments& arguments) {
  return run_with_client(arguments, main);
}

const Argument name_argument{.name = "NAME", .help = "the secret's name, such as project/deploy-key"};

}  // namespace

std::vector<Command> secret_commands() {
  return {
      {.path = "secret list",
       .summary = "List the names of secrets",
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry secret list", "Names alone."}},
       .run = with_client<list>},
      {.path = "secret get",
       .summary = "Print a secret, a JSON object",
       .arguments = {name_argument},
       .options = {output_option(), url_option(), data_dir_option()},
       .examples = {{"gantry secret get project/deploy-key | jq -r .password", "One member of it."}},
       .run = with_client<get>},
      {.path = "secret set",
       .summary = "Set a secret to a JSON object from a file or standard input",
       .details = "It is never taken from the command line, which other users of the machine can see.",
       .arguments = {name_argument},
       .options = {{.name = "file",
                    .kind = ValueKind::file,
                    .value = "FILE",
                    .help = "where the JSON object is; - is standard input",
                    .otherwise = "-"},
                   {.name = "expires",
                    .kind = ValueKind::duration,
                    .value = "DURATION",
                    .help = "for how long it can be read",
                    .otherwise = "365d"},
                   url_option(),
                   data_dir_option()},
       .examples = {{"gantry secret set project/deploy-key --file key.json --expires 90d", "From a file."},
                    {"pass show deploy | jq -Rs '{password: .}' | gantry secret set project/deploy-key",
                     "From another program."}},
       .run = with_client<set>},
      {.path = "secret delete",
       .summary = "Delete a secret",
       .arguments = {name_argument},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry secret delete project/deploy-key", "At once."}},
       .run = with_client<remove>},
  };
}

}  // namespace gantry::cli
