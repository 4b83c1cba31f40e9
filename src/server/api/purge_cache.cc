// The purge-cache service (taskcluster.md 2.10).
#include "server/api/purge_cache.h"

#include <fmt/format.h>

#include "base/text.h"
#include "core/index/purge.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/pages.h"
#include "wire/task_definition.h"

namespace gantry::server {
namespace {

using state::PurgeRequest;

const std::string& worker_pool(const Call& call) {
  const std::string& id = call.parameter("workerPoolId");
  if (wire::is_task_queue_id(id)) return id;
  throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not a task queue id", shorten(id, 80)),
              "it is <provisionerId>/<workerType>")
      .with_fault(InputFault::arguments);
}

void append_request(JsonWriter& out, const PurgeRequest& request) {
  std::string_view queue = request.task_queue;
  auto slash = queue.find('/');
  out.begin_object().field("provisionerId", queue.substr(0, slash)).field("workerType", queue.substr(slash + 1));
  out.field("cacheName", request.cache).field("before", request.before).end_object();
}

Async<net::Response> purge_cache(Services& services, Call& call) {
  std::string task_queue = worker_pool(call);
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  std::string cache(reader.required_text("cacheName", {1, index::cache_name_bytes_max}));
  value_or_throw(reader.finish());
  call.require(fmt::format("purge-cache:{}:{}", task_queue, cache));
  auto tx = services.commits.begin();
  auto purged = index::purge_cache(tx, task_queue, cache);
  std::uint64_t version = services.commits.stage(tx, purged.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(purged));
  net::Response response;
  response.status = 204;
  co_return response;
}

Async<net::Response> purge_requests(Services& services, Call& call) {
  std::string task_queue = worker_pool(call);
  call.require("purge-cache:purge-requests::" + task_queue);
  Time since;
  if (auto text = call.query_value("since"); !text.empty()) {
    auto parsed = parse_time(text);
    if (!parsed)
      throw Error(ErrorCode::invalid_input, "since: must be a time such as 2026-11-20T06:41:03.123Z")
          .with_fault(InputFault::arguments);
    since = *parsed;
  }
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("requests").begin_array();
  const state::State& state = services.commits.state();
  for (const auto& request : index::purge_requests(state, task_queue, since, services.env.now())) {
    append_request(out, request);
  }
  out.end_array().end_object();
  co_await services.commits.settled(state.table<PurgeRequest>().newest_version());
  co_return json_response(std::move(body));
}

Async<net::Response> all_purge_requests(Services& services, Call& call) {
  call.require("purge-cache:all-purge-requests");
  std::string after = page_position(call);
  std::size_t limit = page_limit(call);
  const state::State& state = services.commits.state();
  auto page = index::all_purge_requests(state, after, limit, services.env.now());
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("requests").begin_array();
  for (const auto& request : page) append_request(out, request);
  out.end_array();
  if (page.size() == limit) out.field("continuationToken", page_token(page.back().key()));
  out.end_object();
  co_await services.commits.settled(state.table<PurgeRequest>().newest_version());
  co_return json_response(std::move(body));
}

}  // namespace

Async<> expire_purge_requests(Services& services) {
  for (bool more = true; more;) {
    auto tx = services.commits.begin();
    more = index::expire_purge_requests(tx);
    co_await services.commits.settled(services.commits.stage(tx));
  }
}

void add_purge_cache_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string base = "/api/purge-cache/v1/purge-cache/";
  using enum net::Method;
  auto tc = Dialect::taskcluster;
  router.add({get, base + "list", "allPurgeRequests", tc, bind(all_purge_requests), true, page_keys()});
  router.add({post, base + "*workerPoolId", "purgeCache", tc, bind(purge_cache), true, {}});
  router.add({get, base + "*workerPoolId", "purgeRequests", tc, bind(purge_requests), true, {"since"}});
}

}  // namespace gantry::server
