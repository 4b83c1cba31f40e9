// Why a task stands where it stands: GET /v1/tasks/{id}/explain.
#include "core/queue/explain.h"

#include <fmt/format.h>

#include "core/queue/run.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/task_lookup.h"

namespace gantry::server {
namespace {

using queue::Explanation;

void append_waits(JsonWriter& out, const Explanation& explanation) {
  out.key("waitsFor").begin_object();
  out.field("requires", explanation.all_completed ? "all-completed" : "all-resolved");
  out.field("untilScheduled", explanation.until_scheduled);
  out.field("unmet", static_cast<std::int64_t>(explanation.unmet)).key("tasks").begin_array();
  for (const auto& dependency : explanation.waits_for) {
    out.begin_object().field("taskId", dependency.task.to_string());
    if (dependency.state) out.field("state", name_of(*dependency.state));
    out.end_object();
  }
  out.end_array().end_object();
}

void append_line(JsonWriter& out, const Services& services, const Explanation& explanation) {
  out.key("line").begin_object().field("ahead", static_cast<std::int64_t>(explanation.ahead));
  out.field("length", static_cast<std::int64_t>(explanation.in_line));
  out.field("fitsSomewhere", explanation.fits_somewhere).key("claimers").begin_array();
  for (const auto& claimer : explanation.claimers) {
    out.begin_object().field("worker", claimer.worker);
    if (!claimer.node.empty()) out.field("nodeId", claimer.node.to_string());
    out.field("hasRoom", claimer.has_room).field("largeEnough", claimer.large_enough);
    if (claimer.last_active != Time()) out.field("lastActive", claimer.last_active);
    auto link = services.nodes.find(claimer.node);
    if (link != services.nodes.end()) {
      out.field("lastPollMsAgo", (services.env.uptime() - link->second.last_poll).count());
      if (!link->second.trouble.empty()) out.field("trouble", link->second.trouble);
    }
    out.end_object();
  }
  out.end_array().end_object();
}

void append_last_run(JsonWriter& out, const Explanation& explanation) {
  out.key("lastClaim").begin_object().field("runId", explanation.last_run).field("worker", explanation.last_worker);
  out.field("started", explanation.last_started).field("takenUntil", explanation.last_taken_until).end_object();
}

std::string explanation_body(const Services& services, TaskId id, const Explanation& explanation) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("taskId", id.to_string()).field("state", name_of(explanation.state));
  out.field("summary", explanation.summary).field("priority", name_of(explanation.priority));
  if (explanation.pulled > explanation.priority) out.field("pulledTo", name_of(explanation.pulled));
  out.field("deadline", explanation.deadline).field("retriesLeft", explanation.retries_left);
  if (explanation.state == state::TaskState::unscheduled) append_waits(out, explanation);
  if (explanation.state == state::TaskState::pending) append_line(out, services, explanation);
  if (explanation.last_run >= 0) append_last_run(out, explanation);
  out.end_object();
  return body;
}

Async<net::Response> explain_task(Services& services, Call& call) {
  TaskId id = call.task_id();
  call.require("queue:status:" + id.to_string());
  state::Task task = co_await durable_task(services, id);
  co_await services.cold.ensure_tasks(queue::unmet_dependencies(task));
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  auto found = queue::find_task(tx, id);
  std::string body;
  if (found) body = explanation_body(services, id, queue::explain(tx.state(), *found.value()));
  std::uint64_t version = services.commits.state().last_commit();
  services.commits.stage(tx);
  co_await services.commits.settled(version);
  value_or_throw(std::move(found));
  co_return json_response(std::move(body));
}

}  // namespace

void add_explain_routes(Router& router, Services& services) {
  auto explain = [&services](Call& call) { return explain_task(services, call); };
  router.add({net::Method::get, "/v1/tasks/:taskId/explain", "explainTask", Dialect::native, explain, true, {}});
}

}  // namespace gantry::server
