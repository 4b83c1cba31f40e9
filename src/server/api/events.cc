// Events as they happen, from any point of the log on (design 3.8): what `gantry events` and browsers read.
#include "server/api/event_query.h"
#include "server/api/handlers.h"
#include "server/output/event_stream.h"

namespace gantry::server {
namespace {

void require_scopes(const Call& call, const EventFilter& filter) {
  using access::ScopeExpression;
  std::vector<ScopeExpression> ways = {"gantry:events"};
  if (!filter.tasks.empty()) {
    std::vector<ScopeExpression> each;
    for (TaskId task : filter.tasks) each.emplace_back("queue:status:" + task.to_string());
    ways.push_back(ScopeExpression::all_of(std::move(each)));
  }
  value_or_throw(call.identity.require_expression(ScopeExpression::any_of(std::move(ways))));
}

/// A position that the log has not reached (it was restored from a backup) is as good as none.
Async<net::Response> stream_events(Services& services, Call& call) {
  EventFilter filter = event_filter(call);
  require_scopes(call, filter);
  const Outbox& outbox = *services.outbox;
  auto after = event_position(call);
  std::uint64_t begin = std::min(after.value_or(outbox.newest()), outbox.newest());
  net::Response response;
  response.headers.add("content-type", "text/event-stream; charset=utf-8");
  response.headers.add("x-accel-buffering", "no");  // nginx would keep events back
  bool follow = call.query_value("follow") != "false";
  response.stream = std::make_shared<EventStream>(services, std::move(filter), begin, call.identity.expires, follow);
  co_return response;
}

}  // namespace

void add_event_routes(Router& router, Services& services) {
  auto handler = [&services](Call& call) { return stream_events(services, call); };
  router.add({net::Method::get,
              "/v1/events",
              "events",
              Dialect::native,
              handler,
              true,
              {"task", "group", "queue", "kind", "after", "follow"}});
}

}  // namespace gantry::server
