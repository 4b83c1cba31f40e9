// Claims and their ends: claimWork, reclaim, reports, and what native agents add.
#include <boost/json/stream_parser.hpp>
#include <fmt/format.h>

#include "base/planted.h"
#include "base/text.h"
#include "core/queue/artifact.h"
#include "core/queue/claim.h"
#include "core/queue/limits.h"
#include "core/queue/resolve.h"
#include "core/queue/run.h"
#include "core/queue/worker.h"
#include "server/api/answers.h"
#include "server/api/finish_log.h"
#include "server/api/handlers.h"
#include "server/api/task_lookup.h"
#include "wire/node_messages.h"

namespace gantry::server {
namespace {

constexpr state::ReasonResolved worker_exceptions[] = {
    state::ReasonResolved::worker_shutdown,      state::ReasonResolved::malformed_payload,
    state::ReasonResolved::resource_unavailable, state::ReasonResolved::internal_error,
    state::ReasonResolved::intermittent_task,    state::ReasonResolved::superseded};

constexpr ObjectReader::TextRule identifier_rule{1, 38, wire::is_identifier, "1 to 38 of [a-zA-Z0-9-_]"};

/// The scopes that a definition grants its task. In the canonical spelling the first unescaped `,"scopes":` is the key,
/// so the rest, a payload perhaps of megabytes, need not be read.
std::vector<std::string> granted_scopes(const std::string& definition) {
  static constexpr std::string_view key = ",\"scopes\":";
  std::size_t at = definition.find(key);
  if (at == std::string::npos) return {};
  std::string_view list = std::string_view(definition).substr(at + key.size());
  if (list.starts_with("[]")) return {};
  json::stream_parser parser;
  json::error_code error;
  parser.write_some(list.data(), list.size(), error);
  if (error || !parser.done()) throw Error(ErrorCode::corrupt, "a stored definition has no list of scopes");
  std::vector<std::string> scopes;
  for (const auto& scope : parser.release().as_array()) scopes.emplace_back(scope.as_string());
  return scopes;
}

/// What a run's holder may do, until `until` (taskcluster.md 2.3).
auth::TemporaryCredentials run_credentials(Services& services, const queue::Claim& claim, const std::string& group,
                                           const std::string& worker, const std::string& definition) {
  std::string task = claim.task.to_string();
  std::string run = fmt::format("{}/{}", task, claim.run);
  std::vector<std::string> scopes = {"queue:reclaim-task:" + run, "queue:resolve-task:" + run,
                                     "queue:create-artifact:" + run, "auth:current-scopes"};
  for (auto& scope : granted_scopes(definition)) scopes.push_back(std::move(scope));
  Time now = services.env.now();
  std::string name = fmt::format("task-client/{}/{}/on/{}/{}/until/{}", task, claim.run, group, worker,
                                 to_ms(claim.taken_until) / 1000);
  return services.authenticator.issue_temporary(name, scopes, now - auth::certificate_clock_tolerance,
                                                claim.taken_until + auth::certificate_clock_tolerance,
                                                auth::random_certificate_seed(services.env));
}

void append_credentials(JsonWriter& out, const auth::TemporaryCredentials& credentials) {
  out.key("credentials").begin_object().field("clientId", credentials.client_id);
  out.field("accessToken", credentials.access_token).field("certificate", credentials.certificate).end_object();
}

struct Worker {
  std::string group;
  std::string id;
  int tasks = 1;
};

/// `many`: it may say how many tasks.
Worker read_worker(const std::string& body, bool many) {
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  Worker worker;
  worker.group = reader.required_text("workerGroup", identifier_rule);
  worker.id = reader.required_text("workerId", identifier_rule);
  if (many) worker.tasks = static_cast<int>(reader.integer("tasks", 1, queue::claim_tasks_max, 1));
  value_or_throw(reader.finish());
  return worker;
}

/// Says that this is the same call again, whose answer may have been lost (core/queue/claim.h).
std::string claim_token(const Call& call) {
  std::string_view token = call.request.headers.get(wire::claim_token_header);
  if (token.size() > queue::claim_token_bytes_max || !is_printable_ascii(token)) {
    throw Error(ErrorCode::invalid_input, fmt::format("{}: must be at most {} printable ASCII characters",
                                                      wire::claim_token_header, queue::claim_token_bytes_max))
        .with_fault(InputFault::arguments);
  }
  return std::string(token);
}

/// A claimed run with the status at the moment of the claim.
struct Claimed {
  queue::Claim claim;
  wire::Priority priority = wire::Priority::lowest;
  std::string status{};
};

Claimed claimed_now(state::Transaction& tx, const queue::Claim& claim) {
  const state::Task& task = *tx.find<state::Task>(claim.task);
  Claimed claimed{claim, task.priority};
  JsonWriter out(claimed.status);
  append_status(out, task);
  return claimed;
}

void append_claim(JsonWriter& out, Services& services, const Claimed& claimed, const Worker& worker,
                  const std::string& stored_definition) {
  std::string changed;
  std::string_view definition = current_definition(claimed.priority, stored_definition, changed);
  out.begin_object().key("status").raw(claimed.status).field("runId", claimed.claim.run);
  out.field("workerGroup", worker.group).field("workerId", worker.id).field("takenUntil", claimed.claim.taken_until);
  out.key("task").raw(definition);
  append_credentials(out, run_credentials(services, claimed.claim, worker.group, worker.id, stored_definition));
  out.end_object();
}

/// What a claim takes in an answer beside its task's definition, roughly.
constexpr std::size_t claim_bytes = 2560;

net::Response claim_response(Services& services, const Claimed& claimed, const Worker& worker,
                             const std::string& definition) {
  std::string body;
  body.reserve(definition.size() + claim_bytes);
  JsonWriter out(body);
  append_claim(out, services, claimed, worker, definition);
  return json_response(std::move(body));
}

void give_back(Services& services, const std::vector<Claimed>& claims, const Worker& worker) {
  if (claims.empty() || !services.leading) return;
  auto tx = services.commits.begin();
  for (const Claimed& claimed : claims) queue::unclaim(tx, claimed.claim, worker.group, worker.id);
  services.commits.stage(tx);
}

/// What a claim is tried with again and again while it waits.
struct ClaimAttempt {
  queue::WorkerName worker;
  int tasks = 1;
  std::string token;
};

/// Takes what there is for the worker now, which may be nothing. `seen`: that it asks has been noted already.
std::vector<Claimed> try_claim(Services& services, const ClaimAttempt& attempt, bool seen, std::uint64_t& version) {
  const queue::WorkerName& worker = attempt.worker;
  auto tx = services.commits.begin();
  std::vector<queue::Claim> claims;
  if (!queue::is_quarantined(tx.state(), worker, tx.now())) {
    NodeId node = tx.state().node_of_worker(worker.group, worker.id);
    claims = queue::claim(tx, {worker.task_queue, worker.group, worker.id, attempt.tasks, node, attempt.token});
  }
  if (!seen || !claims.empty()) queue::note_activity(tx, worker, claims);
  std::vector<Claimed> claimed;
  for (const auto& claim : claims) claimed.push_back(claimed_now(tx, claim));
  version = services.commits.stage(tx);
  return claimed;
}

/// Whether waking this worker is of any use.
bool would_get(const Services& services, const queue::WorkerName& worker) {
  const state::State& state = services.commits.state();
  if (queue::is_quarantined(state, worker, services.env.now())) return false;
  return queue::can_claim(state, worker.task_queue, state.node_of_worker(worker.group, worker.id));
}

/// Waits in the queue's line until something can be claimed, the time is over, or the client is gone. A quarantined
/// worker waits as well, so that it does not ask in a tight loop.
Async<std::vector<Claimed>> wait_for_claims(Services& services, Call& call, ClaimAttempt attempt) {
  Duration until = services.env.uptime() + services.long_poll;
  const queue::WorkerName& name = attempt.worker;
  NodeId node = services.commits.state().node_of_worker(name.group, name.id);
  bool seen = false;
  for (;;) {
    std::uint64_t version = 0;
    // A node that was removed while it waited gets no more work: its next request is refused.
    if (services.commits.state().node_of_worker(name.group, name.id) != node) co_return std::vector<Claimed>();
    std::vector<Claimed> claimed = try_claim(services, attempt, seen, version);
    seen = true;
    if (!claimed.empty()) {
      co_await services.commits.settled(version);
      co_return claimed;
    }
    Duration left = until - services.env.uptime();
    if (left <= Duration(0) || !services.may_wait()) co_return claimed;
    WaitLine& line = services.claim_lines[attempt.worker.task_queue];
    auto able = [&services, worker = attempt.worker] { return would_get(services, worker); };
    Wake wake = co_await line.wait(services.env, left, call.request.peer_watch, std::move(able));
    if (wake == Wake::gone) co_return claimed;
  }
}

Async<net::Response> claim_work(Services& services, Call& call) {
  const std::string& task_queue = call.task_queue_id();
  call.require("queue:claim-work:" + task_queue);
  std::string token = claim_token(call);
  Worker worker = read_worker(co_await json_body(call), true);
  call.require(fmt::format("queue:worker-id:{}/{}", worker.group, worker.id));
  std::vector<Claimed> claims =
      co_await wait_for_claims(services, call, {{task_queue, worker.group, worker.id}, worker.tasks, token});
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().key("tasks").begin_array();
  std::exception_ptr failure;
  try {
    for (const Claimed& claimed : claims) {
      state::Value definition = co_await services.cold.definition(claimed.claim.sequence);
      answer.reserve(answer.size() + definition->size() + claim_bytes);
      append_claim(out, services, claimed, worker, *definition);
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    give_back(services, claims, worker);
    std::rethrow_exception(failure);
  }
  out.end_array().end_object();
  net::Response response = json_response(std::move(answer));
  response.undelivered = [&services, claims = std::move(claims), worker] { give_back(services, claims, worker); };
  // Whoever was woken and took nothing, or left something, passes the wake-up on.
  if (!services.commits.state().pending(task_queue).empty()) services.claim_lines[task_queue].wake_one();
  co_return response;
}

/// Takes one run by name.
Async<net::Response> claim_task(Services& services, Call& call) {
  TaskId id = call.task_id();
  int run = call.run_id();
  Worker worker = read_worker(co_await json_body(call), false);
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  Result<queue::Claim> claim = Error(ErrorCode::internal, "");
  bool quarantined = false;
  auto task = queue::find_task(tx, id);
  if (!task) {
    claim = task.error();
  } else {
    queue::WorkerName name{task.value()->task_queue, worker.group, worker.id};
    auto allowed = call.identity.require_expression(access::ScopeExpression::all_of(
        {"queue:claim-task:" + name.task_queue, fmt::format("queue:worker-id:{}/{}", worker.group, worker.id)}));
    quarantined = allowed && queue::is_quarantined(tx.state(), name, tx.now());
    if (!allowed) {
      claim = allowed.error();
    } else if (!quarantined) {
      NodeId node = tx.state().node_of_worker(worker.group, worker.id);
      claim = queue::claim_run(tx, id, run, {name.task_queue, worker.group, worker.id, 1, node});
      if (claim) queue::note_activity(tx, name, {&claim.value(), 1});
    }
  }
  Claimed claimed;
  if (claim) claimed = claimed_now(tx, claim.value());
  co_await services.commits.settled(services.commits.stage(tx, claim.has_value()));
  if (quarantined) co_return json_response("{}");
  value_or_throw(std::move(claim));
  state::Value definition = co_await services.cold.definition(claimed.claim.sequence);
  co_return claim_response(services, claimed, worker, *definition);
}

Async<net::Response> reclaim_task(Services& services, Call& call) {
  TaskId id = call.task_id();
  int run = call.run_id();
  call.require(fmt::format("queue:reclaim-task:{}/{}", id.to_string(), run));
  co_await call.body(body_bytes_max);
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  auto taken_until = queue::reclaim(tx, id, run);
  state::Task task;
  if (taken_until) task = *tx.find<state::Task>(id);
  std::uint64_t version = services.commits.stage(tx, taken_until.has_value());
  co_await services.commits.settled(version);
  queue::Claim claim{id, run, task.sequence, value_or_throw(std::move(taken_until))};
  const state::Run& holder = task.runs[static_cast<std::size_t>(run)];
  state::Value definition = co_await services.cold.definition(task.sequence);
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().key("status");
  append_status(out, task);
  out.field("runId", run).field("workerGroup", holder.worker_group).field("workerId", holder.worker_id);
  out.field("takenUntil", claim.taken_until);
  append_credentials(out, run_credentials(services, claim, holder.worker_group, holder.worker_id, *definition));
  out.end_object();
  co_return json_response(std::move(answer));
}

/// An agent that was restarted takes up a run that it still holds: the same answer as its claim, with new credentials.
Async<net::Response> resume_run(Services& services, Call& call) {
  TaskId id = call.task_id();
  int run = call.run_id();
  std::string body = co_await json_body(call);
  Worker worker = read_worker(body, false);
  call.require(fmt::format("queue:worker-id:{}/{}", worker.group, worker.id));
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  Result<Time> taken_until = Error(ErrorCode::conflict, "this run is another worker's");
  auto task = queue::find_run(tx, id, run);
  if (!task) {
    taken_until = task.error();
  } else {
    const state::Run& holder = task.value()->runs[static_cast<std::size_t>(run)];
    bool own = holder.worker_group == worker.group && holder.worker_id == worker.id;
    auto may_claim = call.identity.require("queue:claim-work:" + task.value()->task_queue);
    if (!may_claim) {
      taken_until = may_claim.error();
    } else if (own) {
      taken_until = queue::reclaim(tx, id, run);
    }
  }
  Claimed claimed;
  if (taken_until) {
    claimed = claimed_now(tx, {id, run, tx.find<state::Task>(id)->sequence, taken_until.value()});
  }
  std::uint64_t version = services.commits.stage(tx, taken_until.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(taken_until));
  state::Value definition = co_await services.cold.definition(claimed.claim.sequence);
  co_return claim_response(services, claimed, worker, *definition);
}

Async<net::Response> resolve(Services& services, Call& call, queue::Report report) {
  TaskId id = call.task_id();
  int run = call.run_id();
  co_await services.cold.ensure_task(id);
  auto tx = services.commits.begin();
  auto task = queue::report(tx, id, run, report);
  std::string answer = task ? status_body(*task.value()) : std::string();
  std::uint64_t version = services.commits.stage(tx, task.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(task));
  co_return json_response(std::move(answer));
}

void require_resolve(const Call& call) {
  call.require(fmt::format("queue:resolve-task:{}/{}", call.task_id().to_string(), call.run_id()));
}

Async<net::Response> report_completed(Services& services, Call& call) {
  require_resolve(call);
  std::string body = co_await json_body(call);
  json::value document = value_or_throw(parse_json(body));
  ObjectReader reader(document, "");
  bool success = reader.boolean("success", true);  // the first generation's clients send {success}
  value_or_throw(reader.finish());
  co_return co_await resolve(services, call,
                             {success ? state::ReasonResolved::completed : state::ReasonResolved::failed, {}});
}

Async<net::Response> report_failed(Services& services, Call& call) {
  require_resolve(call);
  co_await call.body(body_bytes_max);
  co_return co_await resolve(services, call, {state::ReasonResolved::failed, {}});
}

Async<net::Response> report_exception(Services& services, Call& call) {
  require_resolve(call);
  json::value document = value_or_throw(parse_json(co_await json_body(call)));
  ObjectReader reader(document, "");
  auto reason = wire::parse_reason_resolved(reader.required_text("reason", {}));
  if (!reason || std::ranges::find(worker_exceptions, *reason) == std::end(worker_exceptions)) {
    reader.fail("reason",
                "must be worker-shutdown, malformed-payload, resource-unavailable, internal-error, "
                "intermittent-task or superseded");
  }
  value_or_throw(reader.finish());
  co_return co_await resolve(services, call, {*reason, {}});
}

/// A native agent's report: how the container ended, once the whole log is here.
Async<net::Response> report_run(Services& services, Call& call) {
  require_resolve(call);
  std::string body = co_await json_body(call);
  wire::RunReport report = value_or_throw(wire::parse_run_report(body));
  wire::RunRef run{call.task_id(), call.run_id()};
  if (report.log_bytes >= 0) co_await finish_log(services, run, report.log_bytes);
  co_return co_await resolve(services, call, {report.reason, std::move(report.end)});
}

}  // namespace

void add_claim_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string run = "/api/queue/v1/task/:taskId/runs/:runId";
  const std::string native = "/v1/tasks/:taskId/runs/:runId";
  using enum net::Method;
  auto taskcluster = Dialect::taskcluster;
  router.add({post, "/api/queue/v1/claim-work/*taskQueueId", "claimWork", taskcluster, bind(claim_work), true, {}});
  router.add({post, run + "/claim", "claimTask", taskcluster, bind(claim_task), true, {}});
  router.add({post, run + "/reclaim", "reclaimTask", taskcluster, bind(reclaim_task), true, {}});
  router.add({post, run + "/completed", "reportCompleted", taskcluster, bind(report_completed), true, {}});
  router.add({post, run + "/failed", "reportFailed", taskcluster, bind(report_failed), true, {}});
  router.add({post, run + "/exception", "reportException", taskcluster, bind(report_exception), true, {}});
  router.add({post, native + "/report", "reportRun", Dialect::native, bind(report_run), true, {}});
  router.add({post, native + "/resume", "resumeRun", Dialect::native, bind(resume_run), true, {}});
}

}  // namespace gantry::server
