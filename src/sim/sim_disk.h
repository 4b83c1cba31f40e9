// The disk under the server, with its latencies and faults. It outlives every server.
#pragma once

#include <memory>

#include "sim/faults.h"
#include "sim/sim_env.h"
#include "store/memory/memory_store.h"

namespace gantry::sim {

class SimDisk {
 public:
  SimDisk(SimEnv& env, Faults& faults) : env_(env), faults_(faults) {}

  /// A store on this disk whose completions come by `server`'s timers. Throws Error(unavailable) by fault.
  std::shared_ptr<store::Store> open(SimEnv& server, bool may_fail);
  /// The server's process dies.
  void crash(bool in_flight_survives);
  void fill_until(std::int64_t until_us) { full_until_us_ = until_us; }
  bool full() const { return full_until_us_ > env_.uptime_us(); }
  /// For how long the write that is in flight has been so; 0 without one.
  std::int64_t writing_for_us() const;
  bool in_flight() const;
  /// Called in the middle of some writes, if the fault is enabled: the server is to die.
  void on_crash_in_write(std::function<void()> crash) { crash_ = std::move(crash); }
  /// When a write last failed or a store was last lost.
  std::int64_t last_failure_us() const { return last_failure_us_; }
  /// For looking at it while no store uses it.
  std::shared_ptr<store::MemoryStore::Disk> bare() const { return disk_; }

 private:
  void schedule(SimEnv& server, std::move_only_function<void()> complete);

  SimEnv& env_;
  Faults& faults_;
  std::shared_ptr<store::MemoryStore::Disk> disk_ = std::make_shared<store::MemoryStore::Disk>();
  std::weak_ptr<store::MemoryStore> store_;
  std::function<void()> crash_;
  std::int64_t full_until_us_ = 0;
  std::int64_t write_began_us_ = 0;
  std::int64_t last_failure_us_ = 0;
};

}  // namespace gantry::sim
