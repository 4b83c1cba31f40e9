#include "server/server.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "base/planted.h"
#include "base/text.h"
#include "core/index/intent.h"
#include "core/queue/limits.h"
#include "core/queue/resolve.h"
#include "core/queue/work.h"
#include "server/api/answers.h"
#include "server/api/finish_log.h"
#include "server/api/handlers.h"
#include "server/api/object_service.h"
#include "server/api/purge_cache.h"
#include "server/load.h"

namespace gantry::server {
namespace {

constexpr Duration tick = seconds(1);
constexpr Duration tick_gap_max = seconds(5);  // longer: nobody listened, leases start anew
constexpr Duration reopen_delay = seconds(1);
constexpr Duration stop_wait = seconds(10);
constexpr Duration step_down_wait = seconds(5);
constexpr std::size_t payload_kept_bytes_max = 10 * 1024;  // of a body that an error's answer repeats
constexpr Duration last_words_max = seconds(15);           // for the agent of a run that was cancelled or lost
constexpr int end_log_attempts_max = 1000;  // each after last_words_max: a full disk may take hours to notice

/// A part of a sweep that is done at once.
Async<bool> all_of(Async<> work) {
  co_await std::move(work);
  co_return true;
}

/// What everyone may, with or without credentials: what the role says.
access::ScopeSet everyone() { return {"assume:anonymous"}; }

/// A signature in a path is as secret as one in a query.
std::string_view shown_path(const Call& call) {
  bool has_signature = std::ranges::find(call.parameters, "signature", [](const auto& parameter) {
                         return parameter.first;
                       }) != call.parameters.end();
  return has_signature ? std::string_view(call.route->pattern) : call.request.path();
}

OutboxLimits outbox_limits(const ServerSettings& settings) {
  bool has_output = !settings.pulse_url.empty();
  OutboxLimits limits = settings.outbox_limits.value_or(has_output ? OutboxLimits() : outbox_limits_without_outputs);
  if (settings.event_log_bytes_max > 0) limits.bytes_max = settings.event_log_bytes_max;
  return limits;
}

}  // namespace

Server::Server(Env& env, ServerSettings settings, OpenStore open_store, object::ObjectStore* objects)
    : env_(env),
      settings_(std::move(settings)),
      open_store_(std::move(open_store)),
      state_(std::make_unique<state::State>()),
      commits_(std::make_unique<CommitLoop>(env, *state_)),
      cold_(env, *state_, *commits_),
      sealer_(std::move(settings_.seal_keys), settings_.seal_key_source),
      authenticator_(settings_.root, everyone()),
      logs_(settings_.log_directory.empty() ? nullptr : std::make_unique<LiveLogs>(env, settings_.log_directory)),
      outbox_(env, *commits_, outbox_limits(settings_)),
      services_{env,
                *commits_,
                cold_,
                authenticator_,
                objects,
                logs_.get(),
                HmacSha256Key("object-urls:" + settings_.root.access_token),
                settings_.public_url},
      expiry_(services_, settings_.expiry),
      scope_(env.executor(), "server") {
  services_.long_poll = settings_.long_poll;
  services_.end_log = [this](wire::RunRef run) {
    if (!services_.stopping) scope_.spawn("log of " + run.task.to_string(), end_log(run));
  };
  services_.sealer = &sealer_;
  authenticator_.attach(*state_, sealer_);
  services_.outbox = &outbox_;
  services_.shells = &shells_;
  if (!settings_.pulse_url.empty()) {
    pulse_ = std::make_unique<Pulse>(env, *commits_, outbox_, value_or_throw(net::parse_amqp_url(settings_.pulse_url)));
    services_.pulse = pulse_.get();
  }
  add_task_routes(router_, services_);
  add_task_change_routes(router_, services_);
  add_group_routes(router_, services_);
  add_task_queue_routes(router_, services_);
  add_worker_routes(router_, services_);
  add_explain_routes(router_, services_);
  add_claim_routes(router_, services_);
  add_artifact_routes(router_, services_);
  add_object_routes(router_, services_);
  add_log_routes(router_, services_);
  add_node_routes(router_, services_);
  add_shell_routes(router_, services_);
  add_index_routes(router_, services_);
  add_purge_cache_routes(router_, services_);
  add_object_service_routes(router_, services_);
  add_reference_routes(router_, services_);
  add_join_routes(router_, services_, HmacSha256Key("join-tokens:" + settings_.root.access_token));
  add_event_routes(router_, services_);
  add_auth_routes(router_, services_);
  add_secret_routes(router_, services_);
  add_health_routes(router_, services_);
  auto metrics = [this](Call& call) { return serve_metrics(call); };
  router_.add({net::Method::get, "/metrics", "metrics", Dialect::native, metrics, false, {}});
  add_expiry_steps();
  watch_changes();
}

Server::~Server() = default;

void Server::add_expiry_steps() {
  expiry_.add("purge requests", [this] { return all_of(expire_purge_requests(services_)); });
  expiry_.add("index entries", [this] { return sweep_index(services_, index_tasks_, index_namespaces_); });
  expiry_.add("join tokens and removed nodes", [this] { return all_of(expire_joins(services_)); });
  expiry_.add("objects", [this] { return sweep_objects(services_, object_cursor_); });
}

void Server::watch_changes() {
  commits_->before_stage(index::note_completed);
  commits_->before_stage([this](state::Transaction& tx) { outbox_.before_stage(tx); });
  commits_->on_group([this] { outbox_.on_group(); });
  commits_->on_change([this](const state::Change& change) { on_change(change); });
  commits_->on_change([this](const state::Change& change) { indexer_.on_change(change); });
  commits_->on_group([this] {
    cold_.definitions().trim(commits_->durable());
    state_->forget_resolved(settings_.resolved_in_memory_max, commits_->durable());
    state_->forget_cold(settings_.resolved_in_memory_max, commits_->durable());
    if (queue::has_work(*state_)) work_news_.notify_all();
    // Another task may be first in line: one that fits.
    if (state_->moves_in_line() != moves_seen_) wake_native_claims();
    moves_seen_ = state_->moves_in_line();
  });
  commits_->on_undone([this] {
    authenticator_.forget();
    outbox_.on_undone();
    wake_all();
  });
  commits_->on_lost([this](std::string reason) {
    services_.leading = false;
    wake_all();
    scope_.spawn("step down", step_down(std::move(reason)));
  });
}

void Server::wake_all() {
  for (auto& [queue, line] : services_.claim_lines) line.wake_all();
  for (auto& [id, line] : services_.task_lines) line.wake_all();
  for (auto& [id, node] : services_.nodes) node.news.wake_all();
  outbox_.news().notify_all();
}

void Server::on_change(const state::Change& change) {
  using Kind = state::Change::Kind;
  if (change.kind == Kind::task_pending && !planted(PlantedBug::lost_wakeup)) {
    auto line = services_.claim_lines.find(change.task_queue);
    if (line != services_.claim_lines.end()) line->second.wake_one();
  }
  if (change.kind == Kind::allocation_lost) {
    auto node = services_.nodes.find(change.node);
    if (node != services_.nodes.end()) node->second.news.wake_all();
  }
  if (change.kind == Kind::task_resolved && logs_) {
    wire::RunRef run{change.task, change.run};
    logs_->close(run);
    if (logs_->is_open(run)) scope_.spawn("log of " + run.task.to_string(), end_log(run));
  }
  if (change.kind == Kind::task_resolved) shells_.end_run({change.task, change.run});
  auto watchers = services_.task_lines.find(change.task);
  if (watchers != services_.task_lines.end()) watchers->second.wake_all();
  if (change.kind != Kind::task_resolved) return;
  wake_native_claims();  // room is what the first in line may wait for
  // Or it was itself the first in line, past its deadline, and nobody could take those behind it.
  for (const auto& [queue, line] : state_->pending_lines()) {
    auto waiting = services_.claim_lines.find(queue);
    if (waiting != services_.claim_lines.end() && !state_->is_native_queue(queue)) waiting->second.wake_one();
  }
}

/// Claims for which there is a task in line that may fit now.
void Server::wake_native_claims() {
  for (const auto& [queue, line] : state_->pending_lines()) {
    auto waiting = services_.claim_lines.find(queue);
    if (waiting != services_.claim_lines.end() && state_->is_native_queue(queue)) waiting->second.wake_all();
  }
}

void Server::open_and_load() {
  store_ = open_store_();
  load_state(*store_, *state_, cold_.known(), cold_.known_groups());
  cold_.attach(store_);
  commits_->attach(*store_);
  outbox_.attach(store_);
  if (pulse_) pulse_->start(store_);
  listening_since_ = std::max(env_.now(), state_->last_time());
  last_tick_ = env_.uptime();
  last_tick_wall_ = env_.now();
  state_->table<state::Node>().for_each(
      [&](const state::Node& node) { services_.nodes[node.id].last_poll = env_.uptime(); });
  authenticator_.forget();
  access_upkeep_.begin(*store_);
  services_.leading = true;
  if (logs_) scope_.spawn("old logs", end_old_logs());
  indexer_.wake();
  work_news_.notify_all();
}

void Server::start() {
  services_.started = env_.uptime();
  std::uint64_t random = env_.random();
  request_prefix_ = fmt::format("{:08x}", static_cast<std::uint32_t>(random));
  open_and_load();
  scope_.spawn("timers", run_timers());
  scope_.spawn("access upkeep", access_upkeep_.run());
  scope_.spawn("outbox", outbox_.keep_trimmed());
  scope_.spawn("index", indexer_.run());
  scope_.spawn("works", run_works());
  scope_.spawn("expiry", expiry_.run());
}

Async<> Server::step_down(std::string reason) {
  log_error("the outcome of a write is unknown, reading the state again: {}", reason);
  // Requests that wait for the commit have failed by now; one that is still reading its body has not seen the state.
  Duration until = env_.uptime() + step_down_wait;
  while (requests_ > 0 && env_.uptime() < until) co_await requests_done_.wait_for(env_, milliseconds(100));
  for (;;) {
    bool open = false;
    try {
      cold_.attach(nullptr);
      outbox_.attach(nullptr);
      store_.reset();
      *state_ = state::State();
      cold_.known().clear();
      cold_.known_groups().clear();
      cold_.definitions().clear();
      open_and_load();
      open = true;
    } catch (const Error& error) {
      log_error("cannot open the store again: {}", error.message());
    }
    if (open) break;
    co_await env_.sleep(reopen_delay);
  }
  log_warning("the state has been read again");
}

Duration Server::until_next_tick() const {
  Duration wait = tick;
  if (!services_.leading) return wait;
  if (!state_->deadlines().empty()) wait = std::min(wait, state_->deadlines().begin()->first - env_.now());
  return std::max(wait, Duration(1));
}

Async<> Server::run_timers() {
  for (;;) {
    co_await env_.sleep(until_next_tick());
    if (!services_.leading) continue;
    // The monotonic clock stands still while a machine is suspended; the wall clock, by which claims end, does not.
    Duration gap = std::max<Duration>(env_.uptime() - last_tick_, env_.now() - last_tick_wall_);
    if (gap > tick_gap_max) {
      log_warning("nobody listened for {}: leases start anew", format_duration(gap));
      listening_since_ = std::max(env_.now(), state_->last_time());
      for (auto& [id, node] : services_.nodes) node.last_poll = env_.uptime();
    }
    last_tick_ = env_.uptime();
    last_tick_wall_ = env_.now();
    state_->forget_resolved(settings_.resolved_in_memory_max, commits_->durable());  // reads load them too
    commits_->probe();
    std::exception_ptr failure;
    try {
      co_await expire();
    } catch (...) {
      failure = std::current_exception();
    }
    if (is_cancelled(failure)) co_return;
    if (failure) co_await env_.sleep(tick);  // a full disk: the requests report it
  }
}

Async<> Server::run_works() {
  for (;;) {
    while (!services_.leading || !queue::has_work(*state_)) co_await work_news_.wait();
    std::exception_ptr failure;
    try {
      auto tx = commits_->begin();
      queue::continue_work(tx);
      std::uint64_t version = commits_->stage(tx);
      co_await commits_->settled(version);
    } catch (...) {
      failure = std::current_exception();
    }
    if (is_cancelled(failure)) co_return;
    if (failure) co_await env_.sleep(tick);  // a full disk: the requests report it
  }
}

/// The log of a run that did not end by its agent's report: the agent may say its last words, and then it is complete.
Async<> Server::end_log(wire::RunRef run) {
  for (int attempt = 0; attempt < end_log_attempts_max; ++attempt) {
    co_await env_.sleep(last_words_max);
    if (!logs_->is_open(run)) co_return;
    if (!services_.leading) continue;
    std::optional<Error> failure;
    try {
      co_await cold_.ensure_task(run.task);
      co_await finish_log(services_, run, -1);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) co_return;
    log_warning("the log of run {} of task {} is not finished yet: {}", run.run, run.task.to_string(),
                failure->message());
  }
}

/// Of runs whose end nobody has heard of here: they were resolved just before this server started or read the state
/// again.
Async<> Server::end_old_logs() {
  for (wire::RunRef run : logs_->all_open()) {
    co_await cold_.ensure_task(run.task);
    if (is_run_over(*state_, run)) scope_.spawn("log of " + run.task.to_string(), end_log(run));
  }
}

Async<> Server::expire() {
  std::vector<NodeId> lost;
  for (const auto& [id, node] : services_.nodes) {
    if (node.is_silent(env_.uptime()) && !state_->allocations_on(id).empty()) lost.push_back(id);
  }
  bool more = true;
  while (more) {
    auto tx = commits_->begin();
    more = queue::expire_deadlines(tx) || queue::expire_claims(tx, listening_since_);
    for (NodeId node : lost) more = more || queue::expire_node(tx, node);
    std::uint64_t version = commits_->stage(tx);
    co_await commits_->settled(version);
  }
}

Async<net::Response> Server::serve_metrics(Call& call) {
  if (!call.request.peer_is_loopback) throw Error(ErrorCode::not_authorized, "metrics are served on loopback only");
  net::Response response;
  response.headers.add("content-type", "text/plain; version=0.0.4");
  response.body = metrics_.text(services_);
  co_return response;
}

net::Response Server::preflight() const {
  net::Response response;
  response.status = 204;
  response.headers.add("access-control-allow-origin", "*");
  response.headers.add("access-control-allow-methods", "OPTIONS,GET,HEAD,POST,PUT,DELETE");
  response.headers.add("access-control-allow-headers",
                       "X-Requested-With,Content-Type,Authorization,Accept,Origin,Cache-Control,If-None-Match,Range,"
                       "Last-Event-ID,X-Taskcluster-Trace-Id");
  response.headers.add("access-control-max-age", "900");
  return response;
}

Async<net::Response> Server::answer(Call& call) {
  auto query = net::parse_query(call.request.query());
  if (!query) {
    throw Error(ErrorCode::invalid_input, "the query has a broken % escape").with_fault(InputFault::arguments);
  }
  call.query = std::move(*query);
  for (const auto& [key, value] : call.query) {
    bool known = std::ranges::find(call.route->query_keys, key) != call.route->query_keys.end();
    if (!known && key != "bewit") {
      throw Error(ErrorCode::invalid_input, fmt::format("unknown query parameter \"{}\"", shorten(key, 60)))
          .with_fault(InputFault::arguments);
    }
  }
  if (call.route->authenticated) {
    call.identity = value_or_throw(authenticator_.authenticate(request_head(call.request), env_.now()));
  }
  bool health = !call.route->authenticated;
  if (!services_.leading && !health) {
    throw Error(ErrorCode::unavailable, "the server is reading its state", "try again in a moment");
  }
  co_return co_await call.route->handler(call);
}

Async<net::Response> Server::handle(net::Request request) {
  if (request.method == net::Method::options) co_return preflight();
  std::int64_t begin_us = env_.uptime_us();
  ++requests_;
  Router::Match match = router_.match(request.method, request.path());
  Call call;
  call.request = std::move(request);
  call.request_id = fmt::format("{}-{}", request_prefix_, ++request_count_);
  call.route = match.route;
  call.parameters = std::move(match.parameters);
  net::Response response;
  if (!match.route) {
    response = json_response("{\"error\":\"Not found\"}", match.other_method ? 405 : 404);
  } else {
    std::exception_ptr failure;
    try {
      if (match.bad_escape) {
        throw Error(ErrorCode::invalid_input, "the path has a broken % escape").with_fault(InputFault::arguments);
      }
      response = co_await answer(call);
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) {
      Error error = error_of(failure);
      if (http_status(error.code()) == 500) {
        log_error("{} {} ({}): {}", match.route->name, shown_path(call), call.request_id, error.message());
      }
      response = error_response(error, call, env_.now());
    }
  }
  response.headers.add("x-for-request-id", call.request_id);
  response.headers.add("cache-control", "no-store");
  response.headers.add("access-control-allow-origin", "*");
  if (!call.request.headers.get("origin").empty()) {  // a browser, which hides all other headers from its page
    response.headers.add("access-control-expose-headers",
                         "x-for-request-id,x-for-trace-id,x-taskcluster-artifact-storage-type,location,retry-after,"
                         "content-range");
  }
  metrics_.count_request(match.route ? match.route->name : "none", response.status, env_.uptime_us() - begin_us);
  --requests_;
  if (requests_ == 0) requests_done_.notify_all();
  co_return response;
}

Async<> Server::stop() {
  services_.stopping = true;
  shells_.end_all();
  wake_all();
  Duration until = env_.uptime() + stop_wait;
  while (requests_ > 0 && env_.uptime() < until) co_await requests_done_.wait_for(env_, milliseconds(100));
  scope_.cancel();
  co_await scope_.join();
  if (pulse_) co_await pulse_->stop();
  // What is staged is written before the store goes away.
  std::uint64_t last = state_->last_commit();
  while (services_.leading && !commits_->is_settled(last) && env_.uptime() < until) {
    co_await env_.sleep(milliseconds(10));
  }
}

Async<std::string> json_body(Call& call, std::size_t bytes_max) {
  std::string body = co_await call.body(bytes_max);
  if (body.empty()) co_return "{}";
  std::string_view type = call.request.headers.get("content-type");
  if (!type.starts_with("application/json")) {
    throw Error(ErrorCode::invalid_input, "the body's Content-Type must be application/json")
        .with_fault(InputFault::syntax);
  }
  if (body.size() <= payload_kept_bytes_max) call.payload = body;
  co_return body;
}

auth::RequestHead request_head(const net::Request& request) {
  constexpr std::uint16_t http_port = 80;
  constexpr std::uint16_t https_port = 443;
  const net::Headers& headers = request.headers;
  return {net::method_name(request.method),
          request.target,
          headers.get("host"),
          headers.get("x-forwarded-port"),
          headers.get("x-forwarded-proto"),
          headers.get("authorization"),
          request.encrypted ? https_port : http_port};
}

std::string base_url(const Services& services, const net::Request& request) {
  if (!services.public_url.empty()) return services.public_url;
  bool https = request.encrypted || request.headers.get("x-forwarded-proto") == "https";
  std::string_view scheme = https ? "https" : "http";
  return fmt::format("{}://{}", scheme, request.headers.get("host"));
}

}  // namespace gantry::server
