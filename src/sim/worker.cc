#include "sim/worker.h"

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::sim {
namespace {

using wire::ReasonResolved;

constexpr Duration claim_timeout = seconds(30);
constexpr Duration backoff_min = milliseconds(500);
constexpr Duration backoff_max = seconds(12);
constexpr Duration work_min = seconds(1);
constexpr Duration work_max = minutes(25);
constexpr Duration reclaim_wait_min = seconds(5);
constexpr Duration hanging = hours(1000);
/// Not every worker knows of claim tokens.
constexpr double token_chance = 0.7;
constexpr double ask_again_chance = 0.05;
constexpr int report_attempts_max = 60;
constexpr int artifact_attempts_max = 3;

const std::string queue_api = "/api/queue/v1";

std::string run_path(wire::RunRef run) { return fmt::format("/task/{}/runs/{}", run.task.to_string(), run.run); }

ReasonResolved random_outcome(Random& random) {
  double roll = random.unit();
  if (roll < 0.72) return ReasonResolved::completed;
  if (roll < 0.82) return ReasonResolved::failed;
  if (roll < 0.89) return ReasonResolved::intermittent_task;
  if (roll < 0.95) return ReasonResolved::worker_shutdown;
  if (roll < 0.97) return ReasonResolved::malformed_payload;
  return ReasonResolved::internal_error;
}

Signer signer_of(const json::object& credentials) {
  auto text = [&](std::string_view key) { return std::string(credentials.at(key).as_string()); };
  return std::make_shared<wire::HawkSigner>(
      wire::HawkCredentials{text("clientId"), text("accessToken"), text("certificate")});
}

Time time_in(const json::object& object, std::string_view key) {
  return parse_time(std::string_view(object.at(key).as_string())).value();
}

}  // namespace

Worker::Worker(ClientWorld& world, WorkerPlan plan)
    : world_(world),
      plan_(std::move(plan)),
      env_(world.clock, world.seed, worker_name()),
      api_(world, env_, worker_name()) {}

void Worker::start() {
  if (up_) return;
  up_ = true;
  std::erase_if(lives_, [](const Scope& scope) { return scope.size() == 0; });
  lives_.emplace_back(env_.executor(), worker_name());
  lives_.back().spawn("life", claim_loop());
}

void Worker::crash(Duration down) {
  if (!up_) return;
  stop();
  world_.trace.event(env_.uptime_us(), "worker dies", worker_name());
  containers_.clear();
  claim_token_.clear();
  env_.call_after(down, [this] { start(); });
}

void Worker::stop() {
  up_ = false;
  if (!lives_.empty()) lives_.back().cancel();
}

std::size_t Worker::busy() const { return containers_.size(); }

std::string Worker::worker_body(int tasks) const {
  return fmt::format(R"({{"workerGroup":"{}","workerId":"{}","tasks":{}}})", plan_.group, plan_.id, tasks);
}

Worker::Container Worker::make_container(wire::RunRef run) {
  Random& random = env_.random_source();
  Container container;
  bool hangs = random.chance(0.03);
  Duration work = hangs ? hanging : random.spread(work_min, work_max);
  container.ends_us = env_.uptime_us() + work.count() * 1000;
  container.outcome = random_outcome(random);
  container.artifacts = random.chance(0.3) ? static_cast<int>(random.between(1, 3)) : 0;
  if (const TaskFacts* facts = world_.oracle.find(run.task)) container.task_expires = facts->definition.expires;
  return container;
}

void Worker::renew(const json::object& claim, Container& container) {
  container.signer = signer_of(claim.at("credentials").as_object());
  container.taken_until = time_in(claim, "takenUntil");
}

Async<> Worker::claim_loop() {
  const std::string target = queue_api + "/claim-work/" + plan_.task_queue;
  for (;;) {
    int free = plan_.slots - static_cast<int>(containers_.size());
    if (free <= 0) {
      co_await slot_free_.wait();
      continue;
    }
    Random& random = env_.random_source();
    bool tokens = !claim_token_.empty() || random.chance(token_chance);
    if (claim_token_.empty() && tokens) claim_token_ = TaskId::random(env_).to_string();
    CallOptions options{claim_timeout, claim_token_};
    Answer answer = co_await api_.call(net::Method::post, target, worker_body(free), world_.root, options);
    if (answer.ok()) {
      received(answer);
      // Asks again as if it had not come, now and then.
      if (!random.chance(ask_again_chance)) claim_token_.clear();
    } else {
      co_await env_.sleep(random.spread(backoff_min, backoff_max));
    }
  }
}

void Worker::received(const Answer& answer) {
  json::value document = value_or_throw(parse_json(answer.body));
  for (const json::value& element : document.at("tasks").as_array()) {
    const json::object& claim = element.as_object();
    SeenTask seen = seen_of(claim.at("status"));
    wire::RunRef run{seen.id, claim.at("runId").to_number<int>()};
    world_.oracle.received_claim(run, worker_name(), !claim_token_.empty());
    world_.oracle.saw_task(seen, answer.sent_us, env_.uptime_us(), "claim");
    auto [place, fresh] = containers_.emplace(run, make_container(run));
    renew(claim, place->second);
    if (fresh) lives_.back().spawn("run", execute(run));
  }
}

Async<> Worker::execute(wire::RunRef run) {
  Random& random = env_.random_source();
  for (;;) {
    if (!holds(run)) co_return;
    const Container& container = containers_.at(run);
    Duration lease_left = container.taken_until - env_.now();
    Duration until_reclaim = std::max(Duration(lease_left.count() * random.between(3, 6) / 10), reclaim_wait_min);
    Duration until_end = Duration((container.ends_us - env_.uptime_us()) / 1000);
    if (until_end <= Duration(0)) break;
    co_await env_.sleep(std::min(until_end, until_reclaim));
    if (!holds(run)) co_return;
    if (until_reclaim >= until_end) continue;
    bool kept = co_await reclaim(run);
    if (!kept && containers_.erase(run)) slot_free_.notify_all();
  }
  co_await record_artifacts(run);
  co_await report(run);
  if (containers_.erase(run)) slot_free_.notify_all();
}

/// False if the run is no longer this worker's.
Async<bool> Worker::reclaim(wire::RunRef run) {
  std::string target = queue_api + run_path(run) + "/reclaim";
  Answer answer = co_await api_.call(net::Method::post, target, "", containers_.at(run).signer);
  if (!holds(run)) co_return false;
  if (answer.ok()) {
    api_.saw_status(answer, "reclaim");
    json::value document = value_or_throw(parse_json(answer.body));
    renew(document.as_object(), containers_.at(run));
    co_return true;
  }
  if (!answer.again()) co_return false;
  co_await env_.sleep(env_.random_source().between(seconds(5), seconds(30)));
  co_return true;
}

Async<> Worker::record_artifacts(wire::RunRef run) {
  Random& random = env_.random_source();
  int count = holds(run) ? containers_.at(run).artifacts : 0;
  for (int i = 0; i < count && holds(run); ++i) {
    const Container& container = containers_.at(run);
    std::string name = fmt::format("public/out-{}.txt", i);
    std::string body;
    ArtifactFact fact{wire::StorageType::reference, {}, container.task_expires};
    int kind = static_cast<int>(random.below(3));
    if (kind == 1 && i == 0) kind = 0;  // a link to itself leads nowhere
    std::string expires = format_time(container.task_expires);
    if (kind == 0) {
      fact.target = fmt::format("https://files.example/{}/{}", run.run, i);
      body = fmt::format(R"({{"storageType":"reference","expires":"{}","contentType":"text/plain","url":"{}"}})",
                         expires, fact.target);
    } else if (kind == 1) {
      fact.type = wire::StorageType::link;
      fact.target = "public/out-0.txt";
      body = fmt::format(R"({{"storageType":"link","expires":"{}","artifact":"{}"}})", expires, fact.target);
    } else {
      fact.type = wire::StorageType::error;
      fact.target = "file-missing-on-worker";
      body = fmt::format(R"({{"storageType":"error","expires":"{}","reason":"{}","message":"not there"}})", expires,
                         fact.target);
    }
    std::string target = fmt::format("{}{}/artifacts/{}", queue_api, run_path(run), name);
    for (int attempt = 0; attempt < artifact_attempts_max && holds(run); ++attempt) {
      Answer answer = co_await api_.call(net::Method::post, target, body, containers_.at(run).signer);
      if (answer.ok()) world_.oracle.created_artifact(run, name, fact);
      if (!answer.again()) break;
      co_await env_.sleep(random.spread(backoff_min, backoff_max));
    }
  }
}

Async<Answer> Worker::send_report(wire::RunRef run) {
  const Container& container = containers_.at(run);
  ReasonResolved outcome = container.outcome;
  Signer signer = container.signer;
  world_.oracle.report_asked(run, outcome);
  std::string base = queue_api + run_path(run);
  bool exception = outcome != ReasonResolved::completed && outcome != ReasonResolved::failed;
  if (exception) {
    std::string body = fmt::format(R"({{"reason":"{}"}})", name_of(outcome));
    co_return co_await api_.call(net::Method::post, base + "/exception", body, signer);
  }
  co_return co_await api_.call(net::Method::post, base + (outcome == ReasonResolved::failed ? "/failed" : "/completed"),
                               "", signer);
}

/// Until the server has said what it thinks of it: recorded, or no longer ours.
Async<> Worker::report(wire::RunRef run) {
  for (int attempt = 0; attempt < report_attempts_max && holds(run); ++attempt) {
    Answer answer = co_await send_report(run);
    if (answer.ok()) api_.saw_status(answer, "report");
    if (!answer.again()) co_return;
    co_await env_.sleep(env_.random_source().spread(backoff_min, backoff_max));
  }
}

}  // namespace gantry::sim
