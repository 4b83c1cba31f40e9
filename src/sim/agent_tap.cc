#include "sim/agent_tap.h"

#include <fmt/format.h>

namespace gantry::sim {
namespace {

using wire::ReasonResolved;

constexpr std::string_view claim_path = "/api/queue/v1/claim-work/";
constexpr std::string_view run_path = "/v1/tasks/";

/// The run that a native path is about, "/v1/tasks/<id>/runs/<run>/...".
std::optional<wire::RunRef> run_in(std::string_view path) {
  constexpr std::string_view runs = "/runs/";
  if (!path.starts_with(run_path)) return std::nullopt;
  path.remove_prefix(run_path.size());
  auto id = TaskId::parse(path.substr(0, path.find('/')));
  auto at = path.find(runs);
  if (!id || at == std::string_view::npos) return std::nullopt;
  return wire::RunRef{*id, std::stoi(std::string(path.substr(at + runs.size())))};
}

/// Answers whose `status` shows a task.
bool shows_task(std::string_view path) {
  return path.ends_with("/report") || path.ends_with("/resume") || path.ends_with("/reclaim");
}

}  // namespace

void AgentTap::about_to_send(const net::OutgoingRequest& request) {
  std::string_view path = request.target;
  if (!path.ends_with("/report")) return;
  auto run = run_in(path);
  auto report = wire::parse_run_report(request.body);
  if (!run || !report) return world_.fail("an agent sends a report that cannot be read: " + request.target);
  if (!world_.oracle.find(run->task)) return world_.fail("an agent reports a task that nobody has created");
  ReasonResolved reason = report.value().reason;
  bool gave_up = reason == ReasonResolved::worker_shutdown || reason == ReasonResolved::internal_error;
  if (gave_up && !world_.faults.any()) {
    world_.fail(fmt::format("an agent gives task {} back although nothing is wrong", run->task.to_string()));
  }
  world_.oracle.report_asked(*run, reason);
}

void AgentTap::received(const std::string& target, const net::IncomingResponse& response, std::int64_t sent_us) {
  check_answer(world_, response.status, response.body, sent_us, target);
  if (response.status >= 300) return;
  std::int64_t now_us = world_.clock.now_us();
  if (shows_task(target)) {
    json::value document = value_or_throw(parse_json(response.body));
    if (const json::value* status = document.as_object().if_contains("status")) {
      world_.oracle.saw_task(seen_of(*status), sent_us, now_us, "agent");
    }
    return;
  }
  if (!target.starts_with(claim_path)) return;
  json::value document = value_or_throw(parse_json(response.body));
  for (const json::value& element : document.at("tasks").as_array()) {
    SeenTask seen = seen_of(element.at("status"));
    wire::RunRef run{seen.id, element.at("runId").to_number<int>()};
    world_.oracle.received_claim(run, link_.name(), true);
    world_.oracle.saw_task(seen, sent_us, now_us, "claim");
  }
}

Async<net::IncomingResponse> AgentTap::exchange(net::OutgoingRequest request, std::size_t body_bytes_max) {
  std::string target = request.target;
  about_to_send(request);
  std::int64_t sent_us = world_.clock.now_us();
  net::IncomingResponse response = co_await link_.exchange(std::move(request), body_bytes_max);
  received(target, response, sent_us);
  co_return response;
}

Async<net::OpenResponse> AgentTap::open(net::OutgoingRequest request) { return link_.open(std::move(request)); }

Async<std::shared_ptr<net::RawStream>> AgentTap::upgrade(net::OutgoingRequest request, std::string protocol) {
  return link_.upgrade(std::move(request), std::move(protocol));
}

}  // namespace gantry::sim
