// Clients: made, changed, listed. A client id may stand in a path with its slashes or with %2F.
#include <algorithm>

#include <fmt/format.h>

#include "core/access/clients.h"
#include "server/api/answers.h"
#include "server/api/auth_service.h"
#include "server/api/pages.h"

namespace gantry::server {
namespace {

using state::Client;

/// The path's client id, one that may be changed. Throws Error(invalid_input).
std::string client_id(Services& services, const Call& call) {
  const std::string& id = call.parameter("clientId");
  value_or_throw(access::check_client_id(id, services.authenticator.root_id()));
  return id;
}

Async<access::ClientRequest> read_request(Call& call) {
  json::value body = value_or_throw(parse_json(co_await json_body(call, access_body_bytes_max)));
  ObjectReader reader(body, "");
  access::ClientRequest request;
  request.description = reader.required_text("description", {.characters_max = access::description_bytes_max});
  reader.require("expires");
  request.expires = reader.time("expires").value_or(Time());
  request.delete_on_expiration = reader.boolean("deleteOnExpiration", false);
  if (reader.has("scopes")) request.scopes = read_scopes(reader, "scopes");
  reader.allow("scopes");
  value_or_throw(reader.finish());
  if (request.scopes) value_or_throw(access::check_given_scopes(*request.scopes));
  co_return request;
}

std::string client_body(Services& services, const Client& client, std::string_view token = {}) {
  std::string body;
  JsonWriter out(body);
  begin_client(out, client, services.authenticator.roles());
  if (!token.empty()) out.field("accessToken", token);
  out.end_object();
  return body;
}

/// Waits for the decision and answers with the client as it is now.
Async<net::Response> finish(Services& services, state::Transaction& tx, Result<const Client*> client,
                            std::string token = {}) {
  std::string answer = client ? client_body(services, *client.value(), token) : std::string();
  std::uint64_t version = services.commits.stage(tx, client.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(client));
  co_return json_response(std::move(answer));
}

/// A fresh access token, and the same sealed.
std::pair<std::string, std::string> draw_token(Services& services, const std::string& id) {
  std::string token = auth::random_certificate_seed(services.env);
  std::string sealed = value_or_throw(services.sealer->seal(services.env, token, auth::client_seal_name(id)));
  return {std::move(token), std::move(sealed)};
}

Async<net::Response> create_client(Services& services, Call& call) {
  std::string id = client_id(services, call);
  access::ClientRequest request = co_await read_request(call);
  call.require_expression(access::needed_to_create(id, request));
  auto [token, sealed] = draw_token(services, id);
  auto tx = services.commits.begin();
  auto client = access::create_client(tx, id, request, sealed);
  if (client && client.value()->sealed_token != sealed) {
    // The same request again gets the same answer.
    token = value_or_throw(services.sealer->open(client.value()->sealed_token, auth::client_seal_name(id)));
  }
  co_return co_await finish(services, tx, std::move(client), std::move(token));
}

Async<net::Response> update_client(Services& services, Call& call) {
  std::string id = client_id(services, call);
  access::ClientRequest request = co_await read_request(call);
  auto tx = services.commits.begin();
  auto needed = access::needed_to_update(tx, id, request);
  if (!needed) {
    call.require(fmt::format("auth:update-client:{}", id));  // whether there is one is not for everybody
    co_return co_await finish(services, tx, needed.error());
  }
  call.require_expression(needed.value());
  co_return co_await finish(services, tx, access::update_client(tx, id, request));
}

Async<net::Response> reset_token(Services& services, Call& call, std::string id) {
  call.require(fmt::format("auth:reset-access-token:{}", id));
  co_await json_body(call, access_body_bytes_max);
  auto [token, sealed] = draw_token(services, id);
  auto tx = services.commits.begin();
  co_return co_await finish(services, tx, access::reset_token(tx, id, std::move(sealed)), std::move(token));
}

Async<net::Response> set_disabled(Services& services, Call& call, std::string id, bool disabled) {
  call.require(fmt::format("auth:{}-client:{}", disabled ? "disable" : "enable", id));
  co_await json_body(call, access_body_bytes_max);
  auto tx = services.commits.begin();
  co_return co_await finish(services, tx, access::set_disabled(tx, id, disabled));
}

Async<net::Response> reset_client(Services& services, Call& call) {
  return reset_token(services, call, client_id(services, call));
}
Async<net::Response> enable_client(Services& services, Call& call) {
  return set_disabled(services, call, client_id(services, call), false);
}
Async<net::Response> disable_client(Services& services, Call& call) {
  return set_disabled(services, call, client_id(services, call), true);
}

/// POST /clients/<id>, and with slashes that are not escaped also /clients/<id>/reset and its like.
Async<net::Response> post_client(Services& services, Call& call) {
  std::string_view path = call.request.path();
  std::string_view verb = path.substr(path.rfind('/') + 1);
  std::string& id = std::ranges::find(call.parameters, "clientId", [](const auto& p) { return p.first; })->second;
  // An id of one segment had its slashes escaped, so that what stands behind a slash is not an id's end.
  bool several = path.ends_with("/" + std::string(verb)) && id.ends_with("/" + std::string(verb));
  if (several && (verb == "reset" || verb == "enable" || verb == "disable")) {
    id.resize(id.size() - verb.size() - 1);
    if (verb == "reset") return reset_client(services, call);
    return verb == "enable" ? enable_client(services, call) : disable_client(services, call);
  }
  return update_client(services, call);
}

Async<net::Response> delete_client(Services& services, Call& call) {
  std::string id = client_id(services, call);
  call.require(fmt::format("auth:delete-client:{}", id));
  auto tx = services.commits.begin();
  access::delete_client(tx, id);
  co_await services.commits.settled(services.commits.stage(tx));
  co_return json_response("{}");
}

Async<net::Response> get_client(Services& services, Call& call) {
  std::string id = call.parameter("clientId");
  call.require(fmt::format("auth:get-client:{}", id));
  auto tx = services.commits.begin();
  co_return co_await finish(services, tx, access::find_client(tx, id));
}

Async<net::Response> list_clients(Services& services, Call& call) {
  call.require("auth:list-clients");
  std::size_t limit = page_limit(call);
  std::string after = page_position(call);
  std::string_view prefix = call.query_value("prefix");
  std::vector<const Client*> clients;
  const state::State& state = services.commits.state();
  state.table<Client>().for_each([&](const Client& client) {
    if (client.id.starts_with(prefix) && (after.empty() || client.id > after)) clients.push_back(&client);
  });
  std::size_t count = std::min(clients.size(), limit);
  auto by_id = [](const Client* a, const Client* b) { return a->id < b->id; };
  std::partial_sort(clients.begin(), clients.begin() + static_cast<std::ptrdiff_t>(count), clients.end(), by_id);
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("clients").begin_array();
  std::size_t shown = 0;
  for (; shown < count && body.size() < access_page_bytes_max; ++shown) {
    begin_client(out, *clients[shown], services.authenticator.roles());
    out.end_object();
  }
  out.end_array();
  if (shown > 0 && shown < clients.size()) out.field("continuationToken", page_token(clients[shown - 1]->id));
  out.end_object();
  co_await services.commits.settled(state.last_commit());
  co_return json_response(std::move(body));
}

}  // namespace

void add_client_routes(Router& router, Services& services) {
  auto add = [&](net::Method method, const char* path, const char* name, Handler handler,
                 std::vector<std::string> query = {}) {
    router.add({method, std::string("/api/auth/v1") + path, name, Dialect::taskcluster, Bind{services}(handler), true,
                std::move(query)});
  };
  using enum net::Method;
  add(get, "/clients/", "listClients", list_clients, {"prefix", "continuationToken", "limit"});
  add(get, "/clients/*clientId", "client", get_client);
  add(put, "/clients/*clientId", "createClient", create_client);
  add(post, "/clients/:clientId/reset", "resetAccessToken", reset_client);
  add(post, "/clients/:clientId/enable", "enableClient", enable_client);
  add(post, "/clients/:clientId/disable", "disableClient", disable_client);
  add(post, "/clients/*clientId", "updateClient", post_client);
  add(delete_, "/clients/*clientId", "deleteClient", delete_client);
}

}  // namespace gantry::server
