#include "sim/world.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/text.h"
#include "object/file_store.h"
#include "sim/disk_check.h"

namespace gantry::sim {
namespace {

constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t minute_us = 60 * second_us;
/// No faults in the end: everything must get done then.
constexpr std::int64_t calm_us = 20 * minute_us;
constexpr std::int64_t compare_every_us = 10 * minute_us;
constexpr std::int64_t last_reads_us_max = 60 * minute_us;
constexpr std::int64_t last_containers_us_max = 10 * minute_us;
/// So long may a container stay whose run is over, on a node and with a server that nothing is wrong with.
constexpr std::int64_t overdue_us_max = 4 * minute_us;
constexpr std::int64_t look_at_containers_every_us = 15 * second_us;
/// At each look while larger work is under way.
constexpr double crash_in_work_chance = 0.2;
/// Small, so that most of what is resolved is read from the disk again; one of these by the seed.
constexpr std::size_t resolved_in_memory_choices[] = {8, 12, 16, 30, 60};

const std::string root_client = "root";
const std::string root_token = "simulated-root-token";
const std::string log_directory = "logs";  // in the simulation's directory
const std::string object_directory = "objects";
const std::string foreign_queue = "sim/foreign";
const std::string native_queue = "sim/native";

/// Error lines that an injected fault explains.
struct ExpectedError {
  Fault fault;
  std::string_view text;
};
constexpr ExpectedError expected_errors[] = {
    {Fault::write_unknown, "the outcome of a write is unknown"},
    {Fault::open_fails, "cannot open the store again"},
    {Fault::agent_disk_full, "the log of task"},
};

server::ServerSettings server_settings(std::uint64_t seed) {
  server::ServerSettings settings;
  settings.log_directory = log_directory;
  settings.root = {root_client, root_token};
  settings.seal_keys = {auth::make_seal_key({})};
  settings.resolved_in_memory_max = resolved_in_memory_choices[seed % std::size(resolved_in_memory_choices)];
  return settings;
}

}  // namespace

World::Life::Life(World& world, std::uint64_t number)
    : env(world.clock_, world.options_.seed, fmt::format("server {}", number)),
      objects(object::make_file_store(env, object_directory)),
      server(
          env, server_settings(world.options_.seed), [this, &world] { return world.open_store(*this); }, objects.get()),
      endpoint(std::make_shared<Endpoint>(server, env)),
      control(env.executor(), "control") {}

World::World(Options options)
    : options_(options),
      trace_(options_.trace),
      faults_(options_.faults),
      env_(clock_, options_.seed, "world"),
      random_(options_.seed, "faults"),
      oracle_([this](std::string what) { fail(std::move(what)); }),
      groups_(oracle_, [this](std::string what) { fail(std::move(what)); }),
      events_(oracle_, [this](std::string what) { fail(std::move(what)); }),
      claims_([this](std::string what) { fail(std::move(what)); }),
      watch_(
          clock_, oracle_, groups_, [this](std::string what) { fail(std::move(what)); },
          [this](TaskId id) { return read_resolved(*disk_.store(), id); }),
      network_(env_, faults_, trace_, *this),
      disk_(env_, faults_),
      clients_{clock_,
               network_,
               faults_,
               oracle_,
               groups_,
               watch_,
               trace_,
               [this](std::string what) { fail(std::move(what)); },
               std::make_shared<wire::HawkSigner>(wire::HawkCredentials{root_client, root_token, {}}),
               options_.seed,
               {root_client, root_token, {}},
               native_,
               clock_.now_us() + options_.length.count() * 1000},
      native_(facts_, oracle_, [this](std::string what) { fail(std::move(what)); }),
      scope_(env_.executor(), "world") {
  disk_.on_trouble([this](std::int64_t until_us) { watch_.trouble_until(until_us); });
  set_log_sink([this](LogLevel level, std::string_view line) { log(level, line); });
}

World::~World() {
  tear_down();
  set_log_sink(nullptr);
}

void World::fail(std::string what) {
  trace_.event(clock_.now_us(), "FAILURE", what);
  if (!failure_.empty()) return;
  failure_ = std::move(what);
  failed_at_us_ = clock_.now_us();
}

void World::log(LogLevel level, std::string_view line) {
  if (trace_.prints() && !clients_.burying)
    fmt::print("{:>14.6f} log          {}\n", static_cast<double>(clock_.now_us()) / 1e6, line);
  if (level != LogLevel::error || clients_.burying) return;
  for (const ExpectedError& expected : expected_errors) {
    bool injected = faults_.counts()[static_cast<std::size_t>(expected.fault)] > 0;
    if (injected && line.find(expected.text) != std::string_view::npos) return;
  }
  fail(fmt::format("an error was logged: {}", line));
}

void World::on_answer(const Exchange& exchange, const net::Response& response) {
  watch_.request_answered(exchange);
  if (life_) claims_.answered(life_->server.state(), exchange, response);
  if (response.status != 500) return;
  fail(fmt::format("{} {}: 500: {}", net::method_name(exchange.method), exchange.target, shorten(response.body, 400)));
}

// The server's lives.

std::shared_ptr<store::Store> World::open_store(Life& life) {
  auto store = disk_.open(life.env, life.opened);
  life.opened = true;
  watch_.opened(life.env.now());
  check_disk_is_right(*store);
  return store;
}

/// While nothing is written to it.
void World::check_disk_is_right(store::Store& store) {
  if (auto wrong = check_disk(store)) fail("the disk: " + *wrong);
  if (auto wrong = check_facts(oracle_, store, clock_.now_us())) fail(*wrong);
  if (auto wrong = groups_.check_disk(store)) fail(*wrong);
  events_.read(store);
}

void World::start_server() {
  if (life_) return;
  life_ = std::make_unique<Life>(*this, ++lives_);
  life_->env.set_wall_offset(server_wall_offset_);
  life_->env.on_disk([this] { return disk_.full(); });
  trace_.event(clock_.now_us(), "start", "server", lives_);
  try {
    life_->server.start();
  } catch (const Error& error) {
    fail(fmt::format("the server does not start: {}", error.message()));
  }
  network_.attach(life_->endpoint);
}

void World::start_server_after(Duration down) {
  env_.call_after(down, [this] { start_server(); });
}

void World::kill_server(bool in_flight_survives) {
  if (!life_) return;
  trace_.event(clock_.now_us(), "die", "server", in_flight_survives);
  compare_disk();
  watch_.trouble();
  commits_ += life_->server.services().commits.metrics().commits;
  life_->env.kill();
  disk_.crash(in_flight_survives);
  network_.server_died(*life_->endpoint);
  bury(*life_);
  life_ = nullptr;
}

/// Ends every coroutine of a dead server. Nothing that they do now reaches anybody: the store ignores it, the network
/// does not carry it, and no timer of theirs fires.
void World::bury(Life& life) {
  clients_.burying = true;
  life.endpoint->requests.cancel();
  clock_.run_ready();
  life.control.spawn("stop", life.server.stop());
  clock_.run_ready();
  life.control.cancel();
  clock_.run_ready();
  clients_.burying = false;
}

void World::crash_server(Duration down) {
  bool survives = random_.chance(0.5);
  env_.call_after_us(0, [this, survives, down] {
    if (!life_) return;
    kill_server(survives);
    start_server_after(down);
  });
}

// The clients.

void World::make_clients() {
  constexpr std::int64_t gb = std::int64_t{1} << 30;
  workers_.emplace_back(clients_, WorkerPlan{"foreign", "alder", foreign_queue, 2});
  workers_.emplace_back(clients_, WorkerPlan{"foreign", "birch", foreign_queue, 1});
  nodes_.emplace_back(clients_, facts_, NodePlan{"native", "cedar", native_queue, 3, 4 * gb}, "cedar");
  nodes_.emplace_back(clients_, facts_, NodePlan{"native", "elm", native_queue, 2, 3 * gb}, "elm");
  users_.emplace_back(clients_, "user", std::vector<std::string>{foreign_queue, native_queue});
  auto skew = [&](auto& of) {
    if (faults_.fires(Fault::clock_skew, random_, 0.7)) of.set_wall_offset(random_.between(seconds(-60), seconds(60)));
  };
  for (Worker& worker : workers_) skew(worker.env());
  for (SimNode& node : nodes_) skew(node);
  for (User& user : users_) skew(user.env());
  for (Worker& worker : workers_) worker.start();
  for (SimNode& node : nodes_) node.start();
  for (User& user : users_) user.start();
}

bool World::in_trouble() const {
  if (!life_ || life_->stopping || life_->env.paused()) return true;
  return !const_cast<Life&>(*life_).server.services().leading || disk_.full();
}

void World::compare_disk() {
  auto store = disk_.store();
  if (!life_ || !store) return;
  auto& services = life_->server.services();
  bool settled = services.leading && services.commits.durable() == life_->server.state().last_commit();
  if (!settled || store->in_flight()) return;
  if (auto wrong = compare_with_disk(life_->server.state(), *store)) fail("state and disk differ: " + *wrong);
}

void World::step_done() {
  if (in_trouble()) watch_.trouble();
  if (!life_ || !life_->server.services().leading) return;
  watch_.look(life_->server, life_->env.now());
  std::uint64_t durable = life_->server.services().commits.durable();
  if (durable != events_read_through_ && disk_.store()) events_.read(*disk_.store());
  events_read_through_ = durable;
  bool works = life_->server.state().table<state::Work>().size() > 0;
  if (works && faults_.fires(Fault::crash_in_work, random_, crash_in_work_chance)) {
    crash_server(random_.spread(milliseconds(200), minutes(3)));
  }
  if (clock_.now_us() >= next_containers_us_) check_containers();
  if (clock_.now_us() < next_compare_us_) return;
  next_compare_us_ = clock_.now_us() + compare_every_us;
  compare_disk();
}

void World::check_containers() {
  std::int64_t now_us = clock_.now_us();
  next_containers_us_ = now_us + look_at_containers_every_us;
  std::map<std::string, std::int64_t> overdue;
  for (SimNode& node : nodes_) {
    if (!node.healthy()) continue;
    for (const auto& [id, container] : node.machine().containers()) {
      const TaskFacts* facts = oracle_.find(container->run.task);
      if (!facts || !facts->resolved_runs.contains(container->run.run)) continue;
      auto known = overdue_since_us_.find(id);
      std::int64_t since_us = known == overdue_since_us_.end() ? now_us : known->second;
      since_us = std::max(since_us, watch_.last_trouble_us());
      overdue[id] = since_us;
      if (now_us - since_us <= overdue_us_max) continue;
      fail(fmt::format("container {} is still on {} although its run is over, for {} already", container->name,
                       node.plan().id, format_duration(Duration((now_us - since_us) / 1000))));
    }
  }
  overdue_since_us_ = std::move(overdue);
}

/// Once every task is resolved.
void World::check_quiet() {
  auto left = [this] {
    std::size_t count = 0;
    for (const SimNode& node : nodes_) count += node.machine().containers().size() + node.spools();
    return count + count_files(log_directory);
  };
  std::int64_t until_us = clock_.now_us() + last_containers_us_max;
  while (left() > 0 && clock_.now_us() < until_us && failure_.empty()) run_until(clock_.now_us() + second_us);
  if (!failure_.empty()) return;
  if (auto logs = count_files(log_directory)) {
    fail(fmt::format("{} live logs are left in the end, among them {}", logs, first_file(log_directory)));
  }
  for (const SimNode& node : nodes_) {
    for (const auto& [id, container] : node.machine().containers()) {
      fail(fmt::format("container {} is left on {} in the end", container->name, node.plan().id));
    }
    if (node.spools() > 0)
      fail(fmt::format("{} spooled logs are left on {} in the end", node.spools(), node.plan().id));
  }
}

/// What was stored of the native runs, once the server is gone.
void World::check_native(store::Store& store) {
  SimEnv look(clock_, options_.seed, "look at logs");
  auto objects = object::make_file_store(look, object_directory);
  Scope reading(env_.executor(), "look at logs");
  reading.spawn("check", native_.check_all(store, *objects, native_queue));
  std::int64_t until_us = clock_.now_us() + last_reads_us_max;
  while (reading.size() > 0 && clock_.now_us() < until_us && failure_.empty()) run_until(clock_.now_us() + second_us);
  if (reading.size() > 0 && failure_.empty()) fail("the logs cannot be read to their end");
  reading.cancel();
  clock_.run_ready();
}

void World::run_until(std::int64_t until_us) {
  bool more = true;
  clock_.run_ready();  // what was started from outside
  while (more && failure_.empty()) {
    more = clock_.run_next_timer(until_us);
    if (!clock_.run_ready()) fail("there is no end to what is ready to run");
    step_done();
  }
}

void World::calm_down() {
  trace_.event(clock_.now_us(), "calm", "");
  faults_.calm();
  scope_.cancel();
  disk_.fill_until(0);
  start_server();
  life_->env.pause_until(0);
  for (Worker& worker : workers_) {
    worker.pause_until(0);
    worker.api().link().heal();
    if (!worker.up()) worker.start();
  }
  for (SimNode& node : nodes_) {
    node.pause_until(0);
    node.link().heal();
    node.machine().heal();
    node.fill_disk_until(0);
    node.start();
  }
  for (User& user : users_) user.api().link().heal();
}

void World::finish() {
  User& user = users_.front();
  Scope reading(env_.executor(), "last reads");
  reading.spawn("read all", user.read_all());
  std::int64_t until_us = clock_.now_us() + last_reads_us_max;
  while (reading.size() > 0 && clock_.now_us() < until_us && failure_.empty()) run_until(clock_.now_us() + second_us);
  if (reading.size() > 0 && failure_.empty()) fail("the last reads do not end");
  reading.cancel();
  clock_.run_ready();
  if (failure_.empty()) check_quiet();
  if (!failure_.empty()) return;
  kill_server(true);
  SimEnv look(clock_, options_.seed, "look");
  auto store = disk_.open(look, false);
  check_disk_is_right(*store);
  if (failure_.empty()) events_.check_end();
  check_native(*store);
}

void World::tear_down() {
  scope_.cancel();
  for (SimNode& node : nodes_) node.stop();
  for (Worker& worker : workers_) worker.stop();
  for (User& user : users_) user.stop();
  clock_.run_ready();
  kill_server(false);
  clock_.run_ready();
}

Outcome World::run() {
  start_server();
  make_clients();
  start_faults();
  run_until(clients_.end_us - calm_us);
  if (failure_.empty()) calm_down();
  run_until(clients_.end_us);
  if (failure_.empty()) finish();
  Outcome outcome;
  outcome.failure = failure_;
  outcome.failed_at_us = failed_at_us_;
  outcome.trace_hash = trace_.hash();
  outcome.requests = network_.requests();
  outcome.commits = commits_;
  outcome.tasks = oracle_.counts();
  outcome.faults = faults_.counts();
  return outcome;
}

Outcome simulate(const Options& options) {
  World world(options);
  return world.run();
}

}  // namespace gantry::sim
