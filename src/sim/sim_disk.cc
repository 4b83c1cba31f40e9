#include "sim/sim_disk.h"

namespace gantry::sim {
namespace {

constexpr std::int64_t ms_us = 1'000;
constexpr std::int64_t write_us_min = 300;
constexpr std::int64_t write_us_max = 8 * ms_us;
/// Slower ones excuse the server from being in time.
constexpr std::int64_t slow_write_us = 200 * ms_us;
constexpr std::int64_t slow_write_us_max = 8'000 * ms_us;

constexpr double slow_chance = 0.004;
constexpr double fails_once_chance = 0.004;
constexpr double unknown_chance = 0.0008;
constexpr double crash_chance = 0.0015;
constexpr double open_fails_chance = 0.4;

}  // namespace

std::shared_ptr<store::Store> SimDisk::open(SimEnv& server, bool may_fail) {
  if (may_fail && faults_.fires(Fault::open_fails, env_.random_source(), open_fails_chance)) {
    throw Error(ErrorCode::unavailable, "the disk does not answer", "try again");
  }
  auto store = std::make_shared<store::MemoryStore>(
      disk_, [this, &server](std::move_only_function<void()> complete) { schedule(server, std::move(complete)); });
  store_ = store;
  return store;
}

void SimDisk::schedule(SimEnv& server, std::move_only_function<void()> complete) {
  auto store = store_.lock();
  Random& random = env_.random_source();
  std::int64_t latency = random.between(write_us_min, write_us_max);
  if (faults_.fires(Fault::disk_slow, random, slow_chance)) latency = random.between(ms_us, slow_write_us_max);
  bool fails = full() || faults_.fires(Fault::disk_full, random, fails_once_chance);
  if (fails) {
    store->fail_next(store::Outcome::failed);
  } else if (faults_.fires(Fault::write_unknown, random, unknown_chance)) {
    store->fail_next(store::Outcome::unknown, random.chance(0.5));
  } else if (crash_ && faults_.fires(Fault::crash_in_write, random, crash_chance)) {
    env_.call_after_us(random.between(0, latency), [this] { crash_(); });
  }
  bool trouble = fails || latency > slow_write_us;
  if (trouble && trouble_) trouble_(env_.uptime_us() + latency);
  server.call_after_us(latency, std::move(complete));
}

void SimDisk::crash(bool in_flight_survives) {
  if (auto store = store_.lock()) store->crash(in_flight_survives);
  store_.reset();
}

}  // namespace gantry::sim
