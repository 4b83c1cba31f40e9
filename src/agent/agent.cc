#include "agent/agent.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/caches.h"
#include "agent/devices.h"
#include "agent/garbage.h"
#include "agent/images/image_store.h"
#include "agent/isolation.h"
#include "agent/limits.h"
#include "agent/proxy/task_proxy.h"
#include "agent/queue_link.h"
#include "agent/server_api.h"
#include "agent/shell/shell_desk.h"
#include "agent/task/side_container.h"
#include "agent/task/task_run.h"
#include "agent/taskcluster_queue.h"
#include "base/log.h"
#include "base/planted.h"

namespace gantry::agent {
namespace {

constexpr const char* network_name = "gantry-tasks";
constexpr Duration start_retry = seconds(2);
constexpr Duration engine_retry = seconds(1);
constexpr Duration claim_retry = seconds(1);

void make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    throw Error(ErrorCode::unavailable, fmt::format("cannot make {}: {}", path, error.message()),
                "choose another data directory");
  }
  ::chmod(path.c_str(), 0700);
}

std::string host_name() {
  char name[256] = "node";
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

NodeId agent_id(Env& env, const std::string& directory) {
  make_directory(directory);
  std::string path = directory + "/agent-id";
  std::string text;
  std::ifstream(path) >> text;
  if (auto id = NodeId::parse(text)) return *id;
  NodeId id = NodeId::random(env);
  std::ofstream file(path);
  file << id.to_string() << "\n";
  file.close();
  if (!file) throw Error(ErrorCode::unavailable, fmt::format("cannot write {}", path), "check the data directory");
  return id;
}

class Agent::Impl {
 public:
  Impl(Env& env, AgentSettings settings, std::shared_ptr<net::Transport> transport,
       std::shared_ptr<engine::Engine> engine)
      : env_(env),
        settings_(std::move(settings)),
        server_(env, std::move(transport), settings_.server_host, settings_.server_port, settings_.server_tls,
                settings_.tls_files),
        engine_(std::move(engine)),
        signer_(std::make_shared<const wire::HawkSigner>(settings_.credentials)),
        scope_(env.executor(), "agent"),
        claims_(env.executor(), "agent: claims") {
    server_.clock().tell();
    make_directory(settings_.data_directory);
    run_settings_.spool_directory = settings_.data_directory + "/spool";
    make_directory(run_settings_.spool_directory);
    id_ = agent_id(env, settings_.data_directory);
    if (settings_.name.empty()) settings_.name = host_name();
    if (settings_.worker_id.empty()) settings_.worker_id = "node-" + id_.to_string();
    run_settings_.agent_id = id_.to_string();
    run_settings_.task_queue = settings_.task_queue;
    run_settings_.worker_group = settings_.worker_group;
    run_settings_.worker_id = settings_.worker_id;
    run_settings_.network = network_name;
    run_settings_.log_bytes_max = settings_.log_bytes_max;
    run_settings_.allow_privileged = settings_.allow_privileged;
    run_settings_.host_name = settings_.public_name.empty() ? settings_.name : settings_.public_name;
    run_settings_.agent_signer = signer_;
    caches_.emplace(env_, *engine_, server_,
                    CacheSettings{id_.to_string(), settings_.task_queue, settings_.data_directory + "/caches.json",
                                  settings_.observer});
    run_settings_.caches = &*caches_;
    proxy_.emplace(env_, *engine_, server_, network_name, settings_.data_directory + "/proxy-port");
    if (!settings_.task_host.empty()) proxy_->be_away_from(settings_.task_host, settings_.proxy_address);
    run_settings_.proxy = &*proxy_;
    devices_.emplace(DeviceSettings{"", settings_.restrict_cpu});
    run_settings_.devices = &*devices_;
    run_settings_.signing_key = settings_.signing_key;
    run_settings_.secrets_key = settings_.secrets_key;
    images_.emplace(env_, *engine_, ImageStoreSettings{settings_.data_directory, settings_.registries});
    run_settings_.images = &*images_;
    run_settings_.observer = settings_.observer;
    if (!settings_.garbage.observer) settings_.garbage.observer = settings_.observer;
    garbage_.emplace(env_, *engine_, *caches_, *images_, settings_.garbage,
                     GarbagePlace{id_.to_string(), settings_.data_directory, run_settings_.spool_directory,
                                  [this](wire::RunRef ref) { return runs_.contains(ref); },
                                  [this] { return settings_.slots - running(); }});
    run_settings_.registries = &settings_.registries;
    set_up_surroundings();
    run_settings_.shells = &shells_;
    run_settings_.engine_away = [this] { engine_away(); };
    if (settings_.foreign.enabled) {
      server_.use_queue(make_taskcluster_queue(env_, server_, settings_.foreign, settings_.data_directory + "/claims",
                                               settings_.task_queue));
    }
  }

  void start() {
    tell(settings_.observer, "start", {{"workerId", settings_.worker_id}, {"taskQueueId", settings_.task_queue}});
    scope_.spawn("main", main());
  }

  Async<> stop(OnStop how) {
    stopping_ = true;
    // First, or a run that is handed back would be claimed again.
    co_await stop_claiming();
    if (how == OnStop::finish) {
      Duration until = env_.uptime() + settings_.finish_within;
      while (!runs_.empty() && !handing_back_ && env_.uptime() < until) {
        co_await slot_freed_.wait_for(env_, milliseconds(100));
      }
    }
    if (how != OnStop::leave) {
      for (auto& [ref, run] : runs_) run->abort();
      Duration until = env_.uptime() + stop_patience;
      while (!runs_.empty() && env_.uptime() < until) co_await slot_freed_.wait_for(env_, milliseconds(100));
    }
    scope_.cancel();
    co_await scope_.join();
    co_await stop_claiming();
    co_await proxy_->stop();
    co_await images_->stop();
    tell(settings_.observer, "exit");
    co_await server_.queue().stop();
  }

  void use_credentials(const wire::HawkCredentials& credentials) {
    signer_ = std::make_shared<const wire::HawkSigner>(credentials);
    run_settings_.agent_signer = signer_;
  }

  void hand_back() {
    handing_back_ = true;
    slot_freed_.notify_all();
  }

  int running() const { return static_cast<int>(runs_.size()); }
  std::uint64_t begun() const { return begun_; }
  bool ready() const { return ready_; }

 private:
  void set_up_surroundings() {
    SurroundingsSettings& wanted = settings_.surroundings;
    run_settings_.dind_image = wanted.dind_image;
    run_settings_.side_containers = wanted.side_containers;
    run_settings_.side_directory = std::filesystem::absolute(settings_.data_directory).string() + "/side";
    run_settings_.superseder_anywhere = wanted.superseder_anywhere;
    if (wanted.firewall) isolation_.emplace(env_, *engine_, network_name);
    run_settings_.isolation = isolation_ ? &*isolation_ : nullptr;
  }

  /// Reaches the engine and the server, takes up what runs, then works.
  Async<> main() {
    co_await find_engine();
    co_await adopt();
    co_await first_poll();
    if (stopping_) co_return;
    ready_ = true;
    scope_.spawn("poll", poll_server());
    scope_.spawn("claims", claim_tasks());
    scope_.spawn("upkeep", watch_engine());
    scope_.spawn("garbage", garbage_->run());
  }

  Async<> find_engine() {
    bool told = false;
    for (;;) {
      std::optional<Error> failure;
      try {
        engine_info_ = co_await engine_->info();
        co_await engine_->ensure_network(network_name);
        if (isolation_) co_await isolation_->check();
      } catch (const Error& error) {
        failure = error;
      }
      if (!failure) break;
      if (!told) log_warning("waiting for the container engine: {} ({})", failure->message(), failure->hint());
      trouble_ = failure->message();
      co_await tell_trouble(!told);
      told = true;
      co_await env_.sleep(start_retry);
    }
    trouble_.clear();
    co_await garbage_->locate_disk(engine_info_.data_root);
    if (settings_.slots == 0) {
      settings_.slots = co_await garbage_->slots_with_room(std::max(2, 2 * engine_info_.cpus));
    }
    if (settings_.restrict_cpu) settings_.slots = std::clamp(settings_.slots, 1, std::max(1, engine_info_.cpus));
    devices_->set_cpus(engine_info_.cpus);
    if (told) log_info("the container engine answers: {}", engine_info_.name);
  }

  /// Lets people see why this node takes nothing. It holds what it held before it started: that is found out later.
  Async<> tell_trouble(bool tell_failure) {
    if (!server_.queue().native()) co_return;
    wire::NodePoll poll = describe();
    poll.seen_generation = 0;
    std::optional<Error> failure;
    try {
      co_await server_.queue().poll(signer_, id_, std::move(poll));
    } catch (const Error& error) {
      failure = error;
    }
    if (failure && tell_failure) log_warning("poll: {}", failure->message());
  }

  /// Containers of ours from before a restart: those whose runs are still ours go on, the others are removed.
  Async<> adopt() {
    std::vector<engine::ContainerSummary> containers;
    for (;;) {
      std::optional<Error> failure;
      try {
        containers = co_await engine_->list_containers(agent_label, id_.to_string());
        co_await caches_->restore(containers);
      } catch (const Error& error) {
        failure = error;
      }
      if (!failure) break;
      co_await env_.sleep(start_retry);
    }
    std::set<std::string> spools;
    for (const auto& container : containers) {
      if (container.labels.contains(side_label)) continue;  // once it is known which runs go on
      auto ref = run_of_labels(container.labels);
      if (ref) devices_->restore(*ref, container.labels);
      bool resumed = false;
      if (ref) resumed = co_await resume(*ref, container.id);
      if (!resumed) {
        bool gone = co_await garbage_->remove_container(container.id);
        if (ref && gone) co_await caches_->release(*ref);
        if (ref && !gone) caches_->leave(*ref);
      } else {
        for (std::string_view kept : {spool_extension, bulk_log_extension}) spools.insert(run_file_name(*ref, kept));
      }
    }
    for (const auto& file : std::filesystem::directory_iterator(run_settings_.spool_directory)) {
      if (!spools.contains(file.path().filename())) std::filesystem::remove(file.path());
    }
    co_await leave_side_containers(std::move(containers));
    if (!runs_.empty()) log_info("took up {} running task(s)", runs_.size());
  }

  /// Those of runs that do not go on.
  Async<> leave_side_containers(std::vector<engine::ContainerSummary> containers) {
    for (const auto& container : containers) {
      auto beside = side_run_of_labels(container.labels);
      bool left = container.labels.contains(side_label) && (!beside || !runs_.contains(*beside));
      if (left) co_await garbage_->remove_container(container.id);
    }
    std::set<wire::RunRef> held;
    for (const auto& [ref, run] : runs_) held.insert(ref);
    clear_side_folders(run_settings_.side_directory, held);
  }

  Async<bool> resume(wire::RunRef ref, std::string container) {
    std::string body = worker_body();
    for (;;) {
      std::optional<Error> failure;
      try {
        json::value element = co_await server_.queue().resume(signer_, ref, body);
        begin_run(read_claim(element), std::move(container));
        co_return true;
      } catch (const Error& error) {
        failure = error;
      }
      if (!may_retry(*failure)) co_return false;
      co_await env_.sleep(start_retry);
    }
  }

  /// `tasks` is for claims only.
  std::string worker_body(int tasks = 0) const {
    std::string body;
    JsonWriter out(body);
    out.begin_object().field("workerGroup", settings_.worker_group).field("workerId", settings_.worker_id);
    if (tasks > 0) out.field("tasks", tasks);
    out.end_object();
    return body;
  }

  void begin_run(ClaimedRun claim, std::string container) {
    wire::RunRef ref = claim.run;
    // Given out again because the server believed that we never got it: the one that is here goes on.
    if (stopping_ || runs_.contains(ref)) return;
    auto run =
        std::make_shared<TaskRun>(env_, *engine_, server_, run_settings_, std::move(claim), std::move(container));
    runs_[ref] = run;
    ++begun_;
    scope_.spawn("task " + ref.task.to_string(), hold(run));
  }

  Async<> hold(std::shared_ptr<TaskRun> run) {
    std::exception_ptr failure;
    try {
      co_await run->run();
    } catch (...) {
      failure = std::current_exception();
    }
    runs_.erase(run->ref());
    slot_freed_.notify_all();
    if (failure) std::rethrow_exception(failure);
  }

  wire::NodePoll describe() const {
    wire::NodePoll poll;
    poll.name = settings_.name;
    poll.task_queue = settings_.task_queue;
    poll.worker_group = settings_.worker_group;
    poll.worker_id = settings_.worker_id;
    poll.slots = settings_.slots;
    poll.memory_bytes = engine_info_.memory_bytes;
    poll.cpus = engine_info_.cpus;
    poll.version = GANTRY_VERSION;
    poll.seen_generation = generation_;
    poll.trouble = trouble_.empty() ? garbage_->trouble() : trouble_;
    poll.clock_ahead_ms = server_.clock().ahead().count();
    poll.caches = caches_->summary();
    for (const auto& [ref, run] : runs_) {
      // One that is being removed is not held: the server would answer at once that it must go, again and again.
      if (!run->unwanted()) poll.holds.push_back(ref);
    }
    return poll;
  }

  Async<> first_poll() {
    bool told = false;
    for (;;) {
      bool ok = co_await tell_holds(!told);
      if (ok) co_return;
      told = true;
      co_await env_.sleep(start_retry);
    }
  }

  /// What the server has for us and we do not hold is given out again. Only while no claim is under way.
  Async<bool> tell_holds(bool tell_failure) {
    wire::NodePoll poll = describe();
    poll.restarted = true;
    co_return co_await poll_once(std::move(poll), tell_failure);
  }

  Async<bool> poll_once(wire::NodePoll poll, bool tell) {
    std::optional<Error> failure;
    try {
      wire::NodeNews news = co_await server_.queue().poll(signer_, id_, std::move(poll));
      take_news(std::move(news));
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) generation_ = 0;  // the next answer may come from a server that counts anew
    if (failure && tell) log_warning("poll: {}", failure->message());
    co_return !failure;
  }

  void take_news(wire::NodeNews news) {
    shells_.take(std::move(news.shells));
    if (news.generation < generation_) return;
    generation_ = news.generation;
    for (const wire::RunRef& ref : news.cancel) {
      auto run = runs_.find(ref);
      if (run != runs_.end() && !planted(PlantedBug::agent_forgets_cancel)) run->second->cancel();
    }
  }

  Async<> poll_server() {
    bool last_ok = true;
    for (;;) {
      bool ok = co_await poll_once(describe(), last_ok);
      if (ok && !last_ok) log_info("the server answers again");
      last_ok = ok;
      if (!ok) co_await env_.sleep(seconds(1));
    }
  }

  Async<> stop_claiming() {
    claims_.cancel();
    co_await claims_.join();
  }

  /// One claim at a time, in a scope of its own: whatever comes of it, a claim is not waited for once the engine is
  /// away.
  Async<> claim_tasks() {
    while (!stopping_) {
      int free = settings_.slots - running();
      if (free <= 0 || !engine_answers_) {
        co_await slot_freed_.wait_for(env_, seconds(1));
        continue;
      }
      bool room = co_await garbage_->room_for_tasks();
      if (!room) co_await slot_freed_.wait_for(env_, short_disk_interval);
      // Meanwhile much may have happened.
      free = settings_.slots - running();
      if (!room || free <= 0 || !engine_answers_ || stopping_) continue;
      if (claim_token_.empty()) claim_token_ = TaskId::random(env_).to_string();
      claim_end_ = ClaimEnd::lost;
      claims_.spawn("claim", claim_some(std::min(free, claim_tasks_max)));
      co_await claims_.join();
      if (claim_end_ == ClaimEnd::done) claim_token_.clear();
      if (claim_end_ != ClaimEnd::done) co_await recover_claim();
    }
  }

  /// The server may believe that we got what we did not get: the same claim again gets it. Where that cannot be, it is
  /// handed back.
  Async<> recover_claim() {
    co_await env_.sleep(claim_retry);
    if (claim_end_ == ClaimEnd::lost && engine_answers_) co_return;
    while (!stopping_) {
      claim_token_.clear();
      bool told = co_await tell_holds(false);
      if (told) co_return;
      co_await env_.sleep(claim_retry);
    }
  }

  Async<> claim_some(int tasks) {
    try {
      json::value document =
          co_await server_.queue().claim(signer_, settings_.task_queue, worker_body(tasks), claim_token_);
      const json::object* object = document.if_object();
      const json::value* claims = object ? object->if_contains("tasks") : nullptr;
      if (!claims || !claims->is_array()) throw Error(ErrorCode::invalid_input, "the server's answer has no tasks");
      bool all_begun = true;
      for (const auto& element : claims->get_array()) all_begun = take_claim(element) && all_begun;
      claim_end_ = all_begun ? ClaimEnd::done : ClaimEnd::not_begun;
    } catch (const Error& error) {
      log_debug("claim: {}", error.message());
    }
  }

  /// False if it cannot be begun here (a full disk, say).
  bool take_claim(const json::value& element) {
    try {
      begin_run(read_claim(element), "");
    } catch (const Error& error) {
      log_error("a claimed task cannot be begun: {}", error.message());
      return false;
    }
    return true;
  }

  /// A run has found that the engine does not answer: nothing more is claimed until it does, or each claim would spend
  /// one of a task's retries.
  void engine_away() {
    if (!engine_answers_) return;
    engine_answers_ = false;
    engine_away_since_ = env_.uptime();
    claims_.cancel();
    engine_news_.notify_all();
  }

  void engine_back() {
    if (engine_answers_) return;
    engine_answers_ = true;
    engine_told_ = false;
    trouble_.clear();
    slot_freed_.notify_all();
  }

  /// Stops claiming while the engine does not answer; removes what is left of runs that are over.
  Async<> watch_engine() {
    for (;;) {
      co_await engine_news_.wait_for(env_, engine_answers_ ? engine_check_interval : engine_retry);
      std::optional<Error> failure;
      try {
        if (!engine_answers_) co_await engine_->probe();
        CacheStore::Leftovers leftovers = caches_->leftovers();
        std::set<wire::RunRef> with_devices = devices_->holders();
        std::set<wire::RunRef> still_there;
        auto containers = co_await engine_->list_containers(agent_label, id_.to_string());
        co_await engine_->ensure_network(network_name);
        if (isolation_) co_await isolation_->check();
        if (engine_told_) log_info("the container engine answers again");
        engine_back();
        for (const auto& container : containers) {
          auto ref = run_of_labels(container.labels);
          auto beside = side_run_of_labels(container.labels);
          bool orphan = beside ? !runs_.contains(*beside) : !ref || !runs_.contains(*ref);
          bool gone = false;
          if (orphan && !planted(PlantedBug::orphans_stay)) gone = co_await garbage_->remove_container(container.id);
          if (ref && !gone) still_there.insert(*ref);
        }
        std::erase_if(with_devices, [&](wire::RunRef ref) { return runs_.contains(ref) || still_there.contains(ref); });
        for (wire::RunRef ref : with_devices) devices_->take_back(ref);
        co_await caches_->release_leftovers(std::move(leftovers), std::move(still_there));
        co_await caches_->upkeep(signer_);
      } catch (const Error& error) {
        failure = error;
      }
      if (!failure) continue;
      engine_away();
      trouble_ = failure->message();
      if (!engine_told_) log_warning("the container engine does not answer: {}", failure->message());
      engine_told_ = true;
      // One that hangs breaks no connection, so that the runs themselves do not notice.
      if (env_.uptime() - engine_away_since_ < engine_silence_max) continue;
      for (auto& [ref, run] : runs_) run->engine_lost();
    }
  }

  Env& env_;
  AgentSettings settings_;
  ServerApi server_;
  std::shared_ptr<engine::Engine> engine_;
  Signer signer_;
  NodeId id_;
  RunSettings run_settings_;
  std::optional<ImageStore> images_;  // likewise; outlives the runs
  std::optional<TaskProxy> proxy_;    // likewise
  std::optional<DeviceStore> devices_;
  std::optional<Isolation> isolation_;  // none if it is not wanted
  std::optional<CacheStore> caches_;    // never empty: made with the agent's id
  std::optional<Garbage> garbage_;      // likewise
  ShellDesk shells_;
  engine::EngineInfo engine_info_;
  std::map<wire::RunRef, std::shared_ptr<TaskRun>> runs_;
  Event slot_freed_;
  std::uint64_t generation_ = 0;
  bool engine_answers_ = true;
  std::string trouble_;       // why no task is taken now
  bool engine_told_ = false;  // it has been logged that it does not
  Duration engine_away_since_{};
  Event engine_news_;
  enum class ClaimEnd { done, lost, not_begun };
  ClaimEnd claim_end_ = ClaimEnd::done;
  std::string claim_token_;  // of the claim whose answer has not come yet; empty: the next one is a new one
  bool ready_ = false;
  bool stopping_ = false;
  bool handing_back_ = false;  // a stop that lets runs finish lets them no longer
  std::uint64_t begun_ = 0;
  Scope scope_;
  Scope claims_;
};

Agent::Agent(Env& env, AgentSettings settings, std::shared_ptr<net::Transport> server,
             std::shared_ptr<engine::Engine> engine)
    : impl_(std::make_unique<Impl>(env, std::move(settings), std::move(server), std::move(engine))) {}

Agent::~Agent() = default;

void Agent::start() { impl_->start(); }

Async<> Agent::stop(OnStop how) { co_await impl_->stop(how); }

void Agent::hand_back() { impl_->hand_back(); }

void Agent::use_credentials(const wire::HawkCredentials& credentials) { impl_->use_credentials(credentials); }

int Agent::running() const { return impl_->running(); }

std::uint64_t Agent::begun() const { return impl_->begun(); }

bool Agent::ready() const { return impl_->ready(); }

}  // namespace gantry::agent
