// One simulation: the real server on a simulated disk and network, native nodes with the real agent on simulated
// container engines, scripted foreign workers and users, the faults that happen to them, and the rules that must hold
// all the while. A seed decides everything.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "server/server.h"
#include "sim/claim_watch.h"
#include "sim/event_watch.h"
#include "sim/native_check.h"
#include "sim/scratch_directory.h"
#include "sim/sim_disk.h"
#include "sim/sim_node.h"
#include "sim/user.h"
#include "sim/worker.h"

namespace gantry::sim {

struct Options {
  std::uint64_t seed = 1;
  Duration length = hours(24);
  Faults faults;
  bool trace = false;
};

struct Outcome {
  std::string failure;  // empty: it passed
  std::int64_t failed_at_us = 0;
  std::uint64_t trace_hash = 0;
  std::uint64_t requests = 0;
  std::uint64_t commits = 0;
  TaskCounts tasks;
  Faults::Counts faults{};

  bool passed() const { return failure.empty(); }
};

class World : private NetworkObserver {
 public:
  explicit World(Options options);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() override;

  /// The whole simulation; once.
  Outcome run();

 private:
  /// One life of the server's process.
  struct Life {
    Life(World& world, std::uint64_t number);
    SimEnv env;
    std::unique_ptr<object::ObjectStore> objects;
    server::Server server;
    std::shared_ptr<Endpoint> endpoint;
    Scope control;
    bool opened = false;
    bool stopping = false;
  };

  void on_arrival(const Exchange& exchange) override { watch_.request_arrived(exchange); }
  void on_answer(const Exchange& exchange, const net::Response& response) override;
  void on_server_gone() override { watch_.server_gone(); }

  std::shared_ptr<store::Store> open_store(Life& life);
  void start_server();
  /// Outside of any handler only.
  void kill_server(bool in_flight_survives);
  void bury(Life& life);
  void crash_server(Duration down);
  void start_server_after(Duration down);

  void make_clients();
  void start_faults();
  Async<> crash_now_and_then();
  Async<> restart_now_and_then();
  Async<> pause_now_and_then();
  Async<> fill_disk_now_and_then();
  Async<> jump_now_and_then();
  Async<> trouble_worker(Worker& worker);
  Async<> trouble_node(SimNode& node);
  Async<> restart_now_and_then(SimNode& node);
  Async<> fill_disk_now_and_then(SimNode& node);
  Async<> trouble_engine(SimMachine& machine);
  Async<> cut_now_and_then(Link& link);

  void run_until(std::int64_t until_us);
  void step_done();
  void check_disk_is_right(store::Store& store);
  void compare_disk();
  /// No container stays for long once its run is over.
  void check_containers();
  void check_quiet();
  void check_native(store::Store& store);
  bool in_trouble() const;
  void calm_down();
  void finish();
  void tear_down();
  void fail(std::string what);
  void log(LogLevel level, std::string_view line);

  Options options_;
  ScratchDirectory directory_;
  VirtualClock clock_;
  Trace trace_;
  Faults faults_;
  SimEnv env_;  // the network, the disk and the faults
  Random random_;
  Oracle oracle_;
  GroupBook groups_;
  EventWatch events_;
  ClaimWatch claims_;
  StateWatch watch_;
  SimNetwork network_;
  SimDisk disk_;
  ClientWorld clients_;
  std::unique_ptr<Life> life_;
  std::uint64_t lives_ = 0;
  Duration server_wall_offset_{};
  ContainerFacts facts_;
  NativeCheck native_;
  std::list<Worker> workers_;
  std::list<SimNode> nodes_;
  std::list<User> users_;
  Scope scope_;
  std::uint64_t commits_ = 0;
  std::uint64_t events_read_through_ = 0;  // the commit
  std::int64_t next_compare_us_ = 0;
  std::int64_t next_containers_us_ = 0;
  std::map<std::string, std::int64_t> overdue_since_us_;  // by container
  std::string failure_;
  std::int64_t failed_at_us_ = 0;
};

/// Runs one simulation.
Outcome simulate(const Options& options);

}  // namespace gantry::sim
