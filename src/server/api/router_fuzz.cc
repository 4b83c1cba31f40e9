// Paths from arbitrary text against a table of all kinds of patterns: no crash, and the parameters of what is matched
// are of its pattern and, encoded again, lead to the same route.
#include <cstddef>
#include <cstdint>

#include "server/api/router.h"

namespace gantry::server {
namespace {

const Router& router() {
  static const Router* made = [] {
    auto* router = new Router();
    for (const char* pattern :
         {"/", "/v1/events", "/v1/nodes/:id/poll", "/api/queue/v1/task/:taskId",
          "/api/queue/v1/task/:taskId/runs/:runId", "/api/queue/v1/task/:taskId/runs/:runId/artifacts/*name",
          "/api/queue/v1/claim-work/*taskQueueId", "/api/queue/v1/task-queues/*taskQueueId",
          "/api/queue/v1/provisioners/:p/worker-types/:w/workers/:g/:id", "/api/auth/v1/clients/*clientId",
          "/api/auth/v1/clients/*clientId/reset", "/a/:x", "/a/b"}) {
      router->add({net::Method::get, pattern, pattern, Dialect::native, {}, false, {}});
    }
    router->add({net::Method::put, "/v1/events", "put", Dialect::native, {}, false, {}});
    return router;
  }();
  return *made;
}

/// The path of a match: its pattern, with the parameters encoded in place of their names.
std::string path_of(const Router::Match& match) {
  std::string path;
  std::size_t next = 0;
  std::string_view pattern = match.route->pattern;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    path += pattern[i];
    if (pattern[i] != '/' || i + 1 == pattern.size() || (pattern[i + 1] != ':' && pattern[i + 1] != '*')) continue;
    GANTRY_ASSERT(next < match.parameters.size());
    const auto& [name, value] = match.parameters[next++];
    std::size_t end = std::min(pattern.find('/', i + 1), pattern.size());
    GANTRY_ASSERT(pattern.substr(i + 2, end - i - 2) == name);
    path += net::percent_encode(value);
    i = end - 1;
  }
  GANTRY_ASSERT(next == match.parameters.size());
  return path;
}

}  // namespace
}  // namespace gantry::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  using namespace gantry::server;
  std::string_view path(reinterpret_cast<const char*>(data), size);
  for (net::Method method : {net::Method::get, net::Method::put, net::Method::delete_}) {
    Router::Match match = router().match(method, path);
    if (!match.route) continue;
    GANTRY_ASSERT(match.route->method == method);
    if (match.bad_escape) continue;
    Router::Match again = router().match(method, path_of(match));
    GANTRY_ASSERT(again.route == match.route && again.parameters == match.parameters);
  }
  return 0;
}
