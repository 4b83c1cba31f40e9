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
  /// A write is going to be slow, or the disk is full, until then.
  void on_trouble(std::function<void(std::int64_t until_us)> tell) { trouble_ = std::move(tell); }
  /// Called in the middle of some writes, if the fault is enabled: the server is to die.
  void on_crash_in_write(std::function<void()> crash) { crash_ = std::move(crash); }
  /// The store in use; may be null.
  std::shared_ptr<store::MemoryStore> store() const { return store_.lock(); }

 private:
  void schedule(SimEnv& server, std::move_only_function<void()> complete);

  SimEnv& env_;
  Faults& faults_;
  std::shared_ptr<store::MemoryStore::Disk> disk_ = std::make_shared<store::MemoryStore::Disk>();
  std::weak_ptr<store::MemoryStore> store_;
  std::function<void()> crash_;
  std::function<void(std::int64_t)> trouble_;
  std::int64_t full_until_us_ = 0;
};

}  // namespace gantry::sim
