// The secrets service (/api/secrets/v1; taskcluster.md 2.10): named JSON objects, sealed where they are stored. A value
// is in no log and in no error's answer. A name may stand in a path with its slashes or with %2F.
#include "core/access/secrets.h"

#include <fmt/format.h>

#include "core/access/limits.h"
#include "server/api/answers.h"
#include "server/api/auth_service.h"
#include "server/api/pages.h"

namespace gantry::server {
namespace {

using state::Secret;

constexpr std::size_t scan_step = 100;
/// Escapes make JSON longer than what it says.
constexpr std::size_t body_bytes_max_of_secret = 2 * access::secret_bytes_max;

std::string secret_name(const Call& call) {
  const std::string& name = call.parameter("name");
  value_or_throw(access::check_secret_name(name));
  return name;
}

struct SecretRequest {
  std::string value;  // canonical JSON
  Time expires;
};

Async<SecretRequest> read_request(Call& call) {
  std::string text = co_await json_body(call, body_bytes_max_of_secret);
  call.payload.clear();  // an error's answer would repeat it
  json::value body = value_or_throw(parse_json(text));
  wipe(text);
  ObjectReader reader(body, "");
  SecretRequest request;
  const json::value* secret = reader.require("secret");
  if (secret && !secret->is_object()) reader.fail("secret", "must be an object");
  reader.require("expires");
  request.expires = reader.time("expires").value_or(Time());
  value_or_throw(reader.finish());
  append_canonical_json(request.value, *secret);
  if (request.value.size() > access::secret_bytes_max) {
    throw Error(ErrorCode::too_large, fmt::format("secret: must be at most {} bytes", access::secret_bytes_max),
                "keep what is large in an artifact, and in the secret only its key");
  }
  co_return request;
}

Async<net::Response> set_secret(Services& services, Call& call) {
  std::string name = secret_name(call);
  call.require("secrets:set:" + name);
  SecretRequest request = co_await read_request(call);
  std::string sealed = value_or_throw(services.sealer->seal(services.env, request.value, auth::secret_seal_name(name)));
  wipe(request.value);
  co_await services.cold.ensure<Secret>(name);
  auto tx = services.commits.begin();
  access::set_secret(tx, name, std::move(sealed), request.expires);
  co_await services.commits.settled(services.commits.stage(tx));
  co_return json_response("{}");
}

Async<net::Response> delete_secret(Services& services, Call& call) {
  std::string name = secret_name(call);
  call.require("secrets:set:" + name);
  co_await services.cold.ensure<Secret>(name);
  auto tx = services.commits.begin();
  access::delete_secret(tx, name);
  co_await services.commits.settled(services.commits.stage(tx));
  co_return json_response("{}");
}

Async<net::Response> get_secret(Services& services, Call& call) {
  std::string name = secret_name(call);
  call.require("secrets:get:" + name);
  co_await services.cold.ensure<Secret>(name);
  auto tx = services.commits.begin();
  auto secret = access::find_secret(tx, name);
  std::string answer;
  if (secret) {
    std::string value =
        value_or_throw(services.sealer->open(secret.value()->sealed_value, auth::secret_seal_name(name)));
    JsonWriter out(answer);
    out.begin_object().key("secret").raw(value).field("expires", secret.value()->expires).end_object();
    wipe(value);
  }
  std::uint64_t version = services.commits.stage(tx);
  co_await services.commits.settled(version);
  value_or_throw(std::move(secret));
  co_return json_response(std::move(answer));
}

Async<net::Response> list_secrets(Services& services, Call& call) {
  call.require("secrets:list-secrets");
  std::size_t limit = page_limit(call);
  std::string after = page_position(call);
  std::optional<state::Key> key;
  if (!after.empty()) key = state::Key{0, after};
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("secrets").begin_array();
  // With the names come the values, so not all at once.
  std::size_t left = limit;
  std::size_t got = scan_step;
  while (left > 0 && got == scan_step) {
    std::size_t step = std::min(left, scan_step);
    auto entries = co_await services.cold.scan(state::TableId::secret, key, step);
    for (const auto& entry : entries) out.string(entry.key.name);
    if (!entries.empty()) key = entries.back().key;
    got = entries.size();
    left -= got;
  }
  out.end_array();
  if (left == 0) out.field("continuationToken", page_token(key->name));
  out.end_object();
  co_return json_response(std::move(body));
}

}  // namespace

void add_secret_routes(Router& router, Services& services) {
  auto add = [&](net::Method method, const char* path, const char* name, Handler handler,
                 std::vector<std::string> query = {}) {
    router.add({method, std::string("/api/secrets/v1") + path, name, Dialect::taskcluster, Bind{services}(handler),
                true, std::move(query)});
  };
  using enum net::Method;
  add(get, "/secrets", "list", list_secrets, {"continuationToken", "limit"});
  add(get, "/secret/*name", "get", get_secret);
  add(put, "/secret/*name", "set", set_secret);
  add(delete_, "/secret/*name", "remove", delete_secret);
}

}  // namespace gantry::server
