// How many tasks with dependencies a second the core takes on one thread: a group of 100,000 tasks in layers of 100,
// each task waiting for three of the layer before it, claimed and completed in the order in which they become pending.
// Each claim and each report is a transaction of its own and ends with its writes encoded, as the server hands them to
// the store; here they are dropped. Creating them is not in the figure; parsing, authentication and the disk are not
// either.
#include <array>
#include <cstring>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "base/env.h"
#include "bench/common_report.h"
#include "core/queue/claim.h"
#include "core/queue/create.h"
#include "core/queue/resolve.h"
#include "core/queue/work.h"

namespace gantry::bench {
namespace {

constexpr std::size_t layer_size = 100;
constexpr std::size_t dependencies_each = 3;
constexpr std::size_t resolved_kept = 2'000;
constexpr std::size_t steps_per_upkeep = 1'000;
constexpr Time start = Time(Duration(1'795'000'000'000));

TaskId numbered(std::uint64_t number) {
  std::array<std::uint8_t, 16> bytes{};
  std::uint64_t mixed = (number + 1) * 0x9E3779B97F4A7C15ull;
  std::memcpy(bytes.data(), &mixed, sizeof mixed);
  std::memcpy(bytes.data() + 9, &number, 7);
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = 0x80;
  return TaskId::from_bytes(bytes);
}

class Workload {
 public:
  explicit Workload(std::size_t tasks) {
    definition_.task_queue = "bench/queue";
    definition_.group = numbered(0);
    definition_.canonical = std::string(1'200, 'x');
    definition_.created = now_;
    definition_.deadline = now_ + hours(24);
    definition_.expires = definition_.deadline + days(30);
    for (std::size_t i = 0; i < tasks; ++i) create(i);
    work();
  }

  /// Claims the next in line and completes it; false if none is left.
  bool step() {
    now_ += Duration(1);
    state::Transaction claiming(state_, now_);
    auto claims = queue::claim(claiming, {"bench/queue", "bench", "worker", 1});
    if (claims.empty()) return false;
    finish(claiming);
    state::Transaction reporting(state_, now_);
    GANTRY_ASSERT(queue::report(reporting, claims[0].task, claims[0].run, {}).has_value());
    finish(reporting);
    work();
    if (++steps_ % steps_per_upkeep == 0) {
      state_.forget_resolved(resolved_kept, state_.last_commit());
      state_.forget_cold(resolved_kept, state_.last_commit());
    }
    return true;
  }

  std::size_t open() const { return state_.deadlines().size(); }

 private:
  void create(std::size_t number) {
    definition_.dependencies.clear();
    if (number >= layer_size) {
      std::size_t before = (number / layer_size - 1) * layer_size;
      for (std::size_t i = 0; i < dependencies_each; ++i) {
        definition_.dependencies.push_back(numbered(before + (number + i) % layer_size));
      }
    }
    TaskId id = numbered(number);
    std::memcpy(definition_.digest.data(), id.bytes().data(), definition_.digest.size());
    state::Transaction tx(state_, now_);
    GANTRY_ASSERT(queue::create(tx, id, definition_).has_value());
    finish(tx);
  }

  void work() {
    while (queue::has_work(state_)) {
      state::Transaction tx(state_, now_);
      queue::continue_work(tx);
      finish(tx);
    }
  }

  void finish(state::Transaction& tx) {
    state::Staged staged = tx.take();
    GANTRY_ASSERT(staged.sequence > 0);
  }

  state::State state_;
  Time now_ = start;
  wire::TaskDefinition definition_;
  std::size_t steps_ = 0;
};

void measure(const Options& options, Report& report) {
  asio::io_context io;
  SystemEnv env(io, 1);
  std::size_t tasks = options.quick ? 20'000 : 100'000;
  Workload workload(tasks);
  GANTRY_ASSERT(workload.open() == tasks);
  std::int64_t begin_us = env.uptime_us();
  std::size_t done = 0;
  while (workload.step()) ++done;
  std::int64_t passed_us = env.uptime_us() - begin_us;
  GANTRY_ASSERT(done == tasks && workload.open() == 0);
  double per_second = static_cast<double>(done) * 1e6 / static_cast<double>(passed_us);
  report.add("dependency_tasks_per_s", per_second, "tasks/s", "higher");
  report.note(fmt::format("{} tasks in one group, each after {} others, claimed and completed in order", tasks,
                          dependencies_each));
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
