#include <fmt/format.h>

#include "agent/key_file.h"
#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "net/http.h"

namespace gantry::cli {
namespace {

Async<int> token(std::shared_ptr<Client> client, Arguments arguments) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("pool", arguments.text("pool"));
  out.field("ttlSeconds", arguments.duration("ttl") / seconds(1));
  bool limited = arguments.has("uses");
  if (limited) out.field("uses", arguments.count("uses"));
  out.end_object();
  json::value answer = co_await client->post("/v1/join-tokens", std::move(body));
  print(fmt::format("{}\n", text_at(answer, "token")));
  std::string machines = "any number of machines";
  if (limited) machines = arguments.count("uses") == 1 ? "one machine" : arguments.text("uses") + " machines";
  say(fmt::format("Valid until {}, for {}. On the new node:\n  gantry agent --server {} --join-token-file FILE",
                  text_at(answer, "expires"), machines, client->url()));
  co_return exit_ok;
}

/// The id of the one node that is called so.
Async<std::string> find_node(std::shared_ptr<Client> client, std::string name) {
  json::value answer = co_await client->get("/v1/nodes");
  std::string found;
  for (const json::value& node : array_at(answer, "nodes")) {
    std::string id(text_at(node, "id"));
    if (id == name) co_return id;
    if (text_at(node, "name") != name) continue;
    if (!found.empty()) {
      throw Error(ErrorCode::conflict, fmt::format("several nodes are called {}", name),
                  "name it by its id; see: gantry nodes");
    }
    found = id;
  }
  if (found.empty()) throw Error(ErrorCode::not_found, fmt::format("there is no node {}", name), "see: gantry nodes");
  co_return found;
}

Async<int> remove(std::shared_ptr<Client> client, Arguments arguments) {
  std::string name = arguments.argument("NODE");
  std::string id = co_await find_node(client, name);
  co_await client->remove("/v1/nodes/" + net::percent_encode(id));
  say(fmt::format("node {} is removed", name));
  co_return exit_ok;
}

int run_public_key(const Arguments& arguments) {
  std::string file = arguments.argument("FILE");
  auto signing = agent::SigningKey::parse(agent::read_key_file(file));
  print(signing ? signing.value().public_key_pem() : agent::read_openpgp_key(file).public_key());
  return exit_ok;
}
int run_token(const Arguments& arguments) { return run_with_client(arguments, token); }
int run_remove(const Arguments& arguments) { return run_with_client(arguments, remove); }

}  // namespace

std::vector<Command> node_commands() {
  return {
      {.path = "node public-key",
       .summary = "Print the public part of a node's key",
       .details =
           "Of a signing key in PEM, which those need who check chains of trust; of a key for secrets as OpenPGP,\n"
           "for those who encrypt variables. The key is the one that the node's agent was started with; no\n"
           "server is asked.",
       .arguments = {{.name = "FILE",
                      .help = "the private key, as for --signing-key or --secrets-key of gantry agent"}},
       .examples = {{"gantry node public-key signing-key.pem > public.pem", "To check what that node signs."},
                    {"openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in chain-of-trust.json -sigfile "
                     "chain-of-trust.json.sig",
                     "To check it."}},
       .run = run_public_key},
      {.path = "node token",
       .summary = "Make a token with which machines become nodes of a pool",
       .details = "It is printed alone on stdout. Whoever has it may join as many machines as --uses says until it\n"
                  "expires, so keep it in a file that only you can read, and out of command lines.",
       .options = {{.name = "pool",
                    .kind = ValueKind::queue,
                    .value = "P/W",
                    .help = "the queue whose tasks the nodes run",
                    .otherwise = "local/default"},
                   {.name = "ttl",
                    .kind = ValueKind::duration,
                    .value = "TIME",
                    .help = "how long it can be used: 1m to 7d",
                    .otherwise = "1h"},
                   {.name = "uses",
                    .kind = ValueKind::count,
                    .value = "N",
                    .help = "how many machines may join with it: 1 to 1000; default: any number"},
                   url_option(),
                   data_dir_option()},
       .examples = {{"gantry node token --pool team/linux --uses 1 --ttl 10m > token", "For one machine."},
                    {"gantry node token --pool team/linux > token", "For the machines of one pool."}},
       .run = run_token},
      {.path = "node remove",
       .summary = "Remove a node that has stopped",
       .details =
           "What it still holds is given to others, and its credentials count no more: to come back it needs a new\n"
           "join token. A node whose agent runs cannot be removed: stop that first.",
       .arguments = {{.name = "NODE", .help = "the node's name or id"}},
       .options = {url_option(), data_dir_option()},
       .examples = {{"gantry node remove builder-3", "It no longer shows in gantry nodes."}},
       .run = run_remove},
  };
}

}  // namespace gantry::cli
