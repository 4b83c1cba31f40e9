// What scopes mean, and whose a request is: for people who look for a mistake, and for services that have Gantry check
// the requests that they are sent.
#include <algorithm>

#include <fmt/format.h>

#include "core/access/clients.h"
#include "server/api/answers.h"
#include "server/api/auth_service.h"

namespace gantry::server {
namespace {

/// Of the calls that take a body from anybody.
constexpr std::size_t open_body_bytes_max = 64 * 1024;
/// How long an answer holds for credentials that never end.
constexpr Duration answer_life = minutes(15);

constexpr const char* tester_id = "tester";
constexpr const char* tester_token = "no-secret";

/// The JSON body of a call that needs no credentials. It is not kept for an error's answer: it holds other people's.
Async<json::value> open_body(Call& call) {
  std::string body = co_await net::read_all(*call.request.body, open_body_bytes_max);
  value_or_throw(auth::check_payload_hash(call.identity, call.request.headers.get("content-type"), body));
  if (!call.request.headers.get("content-type").starts_with("application/json")) {
    throw Error(ErrorCode::invalid_input, "the body's Content-Type must be application/json");
  }
  co_return value_or_throw(parse_json(body));
}

Async<net::Response> expand_scopes(Services& services, Call& call) {
  call.require("auth:expand-scopes");
  json::value body = value_or_throw(parse_json(co_await json_body(call, access_body_bytes_max)));
  ObjectReader reader(body, "");
  reader.require("scopes");
  std::vector<std::string> scopes = read_scopes(reader, "scopes");
  value_or_throw(reader.finish());
  access::Expansion expansion = services.authenticator.roles().expand(scopes);
  if (!expansion.complete) {
    throw Error(ErrorCode::too_large, "the scopes expand to more than can be answered", "expand fewer at once");
  }
  std::string answer;
  JsonWriter out(answer);
  out.begin_object();
  append_scopes(out, "scopes", expansion.scopes.scopes());
  out.end_object();
  co_await services.commits.settled(services.commits.state().table<state::Role>().newest_version());
  co_return json_response(std::move(answer));
}

Async<net::Response> current_scopes(Services&, Call& call) {
  call.require("auth:current-scopes");
  std::string answer;
  JsonWriter out(answer);
  out.begin_object();
  append_scopes(out, "scopes", call.identity.scopes->scopes());
  out.end_object();
  co_return json_response(std::move(answer));
}

/// A request as somebody else was sent it.
struct ForeignRequest {
  std::string method;
  std::string resource;
  std::string host;
  std::string authorization;
};

constexpr std::string_view http_methods[] = {
    "get",   "post",     "put",    "head",      "delete",      "options", "trace",  "copy",       "lock",
    "mkcol", "move",     "purge",  "propfind",  "proppatch",   "unlock",  "report", "mkactivity", "checkout",
    "merge", "m-search", "notify", "subscribe", "unsubscribe", "patch",   "search", "connect"};

bool is_http_method(std::string_view text) { return std::ranges::find(http_methods, text) != std::end(http_methods); }

ForeignRequest read_foreign_request(const json::value& body) {
  ObjectReader reader(body, "");
  ForeignRequest request;
  request.method = reader.required_text("method", {0, 20, is_http_method, "an HTTP method in lower case"});
  for (char& c : request.method) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  request.resource = reader.required_text("resource", {.characters_max = open_body_bytes_max});
  std::string host(reader.required_text("host", {1, 255}));
  bool bare_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
  std::int64_t port = reader.required_integer("port", 0, 65'535);
  request.host = fmt::format("{}{}{}:{}", bare_v6 ? "[" : "", host, bare_v6 ? "]" : "", port);
  request.authorization = reader.text("authorization", {.characters_max = open_body_bytes_max}, "");
  reader.text("sourceIp", {.characters_max = open_body_bytes_max}, "");
  value_or_throw(reader.finish());
  return request;
}

Async<net::Response> authenticate_hawk(Services& services, Call& call) {
  ForeignRequest request = read_foreign_request(co_await open_body(call));
  Time now = services.env.now();
  auth::RequestHead head;
  head.method = request.method;
  head.target = request.resource;
  head.host = request.host;
  head.authorization = request.authorization;
  auto identity = services.authenticator.authenticate(head, now);
  std::string answer;
  JsonWriter out(answer);
  out.begin_object();
  if (!identity) {
    if (identity.error().code() != ErrorCode::not_authenticated) throw identity.error();
    out.field("status", "auth-failed").field("message", identity.error().message());
  } else {
    const auth::Identity& who = identity.value();
    out.field("status", who.anonymous() ? "no-auth" : "auth-success");
    out.field("scheme", who.anonymous() ? "none" : "hawk");
    append_scopes(out, "scopes", who.scopes->scopes());
    if (!who.anonymous()) out.field("clientId", who.client_id);
    out.field("expires", who.expires.value_or(now + answer_life));
    if (!who.payload_hash.empty()) out.field("hash", who.payload_hash);
  }
  out.end_object();
  const state::State& state = services.commits.state();
  co_await services.commits.settled(
      std::max(state.table<state::Client>().newest_version(), state.table<state::Role>().newest_version()));
  co_return json_response(std::move(answer));
}

/// Checks the call itself as one of the client "tester", who holds these scopes, and answers with whom it found.
net::Response answer_as_tester(Services& services, Call& call, std::vector<std::string> client_scopes,
                               const std::vector<std::string>& required) {
  auth::Authenticator tester({tester_id, tester_token, std::move(client_scopes)}, {"assume:anonymous"});
  call.identity = value_or_throw(tester.authenticate(request_head(call.request), services.env.now()));
  call.require_expression(access::ScopeExpression::all_of({required.begin(), required.end()}));
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("clientId", call.identity.anonymous() ? "auth-failed:no-auth" : call.identity.client_id);
  append_scopes(out, "scopes", call.identity.scopes->scopes());
  out.end_object();
  return json_response(std::move(answer));
}

Async<net::Response> test_authenticate(Services& services, Call& call) {
  json::value body = co_await open_body(call);
  ObjectReader reader(body, "");
  reader.require("clientScopes");
  reader.require("requiredScopes");
  std::vector<std::string> client_scopes = read_scopes(reader, "clientScopes");
  std::vector<std::string> required = read_scopes(reader, "requiredScopes");
  value_or_throw(reader.finish());
  co_return answer_as_tester(services, call, std::move(client_scopes), required);
}

Async<net::Response> test_authenticate_get(Services& services, Call& call) {
  co_return answer_as_tester(services, call, {"test:*", "auth:create-client:test:*"}, {"test:authenticate-get"});
}

}  // namespace

void add_scope_routes(Router& router, Services& services) {
  auto add = [&](net::Method method, const char* path, const char* name, Handler handler, bool authenticated = true) {
    router.add({method,
                std::string("/api/auth/v1") + path,
                name,
                Dialect::taskcluster,
                Bind{services}(handler),
                authenticated,
                {}});
  };
  using enum net::Method;
  add(post, "/scopes/expand", "expandScopes", expand_scopes);
  add(get, "/scopes/current", "currentScopes", current_scopes);
  add(post, "/authenticate-hawk", "authenticateHawk", authenticate_hawk);
  // The tester is no client of ours.
  add(post, "/test-authenticate", "testAuthenticate", test_authenticate, false);
  add(get, "/test-authenticate-get/", "testAuthenticateGet", test_authenticate_get, false);
}

}  // namespace gantry::server
