// Whether the server is there and what it is doing; open to everyone, metrics from loopback only.
#include <fmt/format.h>

#include "server/api/answers.h"
#include "server/api/handlers.h"

namespace gantry::server {
namespace {

Async<net::Response> ping(Services& services, Call&) {
  double uptime_s = static_cast<double>((services.env.uptime() - services.started).count()) / 1000;
  co_return json_response(fmt::format("{{\"alive\":true,\"uptime\":{:.3f}}}", uptime_s));
}

Async<net::Response> heartbeat(Services&, Call&) { co_return json_response("{}"); }

Async<net::Response> version(Services&, Call&) {
  co_return json_response(fmt::format("{{\"name\":\"gantry\",\"version\":\"{}\"}}", GANTRY_VERSION));
}

/// Ready means: it leads, and its last write worked.
Async<net::Response> ready(Services& services, Call&) {
  const std::string& trouble = services.commits.trouble();
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("ready", trouble.empty());
  if (!trouble.empty()) out.field("trouble", trouble);
  out.end_object();
  co_return json_response(std::move(body), trouble.empty() ? 200 : 503);
}

}  // namespace

void add_health_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string queue = "/api/queue/v1";
  using enum net::Method;
  router.add({get, queue + "/ping", "ping", Dialect::taskcluster, bind(ping), false, {}});
  router.add({get, queue + "/__lbheartbeat__", "lbheartbeat", Dialect::taskcluster, bind(heartbeat), false, {}});
  router.add({get, queue + "/__heartbeat__", "heartbeat", Dialect::taskcluster, bind(heartbeat), false, {}});
  router.add({get, queue + "/__version__", "version", Dialect::taskcluster, bind(version), false, {}});
  for (const std::string neighbour :
       {"/api/index/v1", "/api/purge-cache/v1", "/api/object/v1", "/api/auth/v1", "/api/secrets/v1"}) {
    router.add({get, neighbour + "/ping", "ping", Dialect::taskcluster, bind(ping), false, {}});
    router.add({get, neighbour + "/__lbheartbeat__", "lbheartbeat", Dialect::taskcluster, bind(heartbeat), false, {}});
    router.add({get, neighbour + "/__heartbeat__", "heartbeat", Dialect::taskcluster, bind(heartbeat), false, {}});
    router.add({get, neighbour + "/__version__", "version", Dialect::taskcluster, bind(version), false, {}});
  }
  router.add({get, "/v1/ping", "ping", Dialect::native, bind(ping), false, {}});
  router.add({get, "/v1/ready", "ready", Dialect::native, bind(ready), false, {}});
  router.add({get, "/v1/version", "version", Dialect::native, bind(version), false, {}});
}

}  // namespace gantry::server
