// How many decisions a second the core takes on one thread: create, claim, reclaim and complete, mixed, with 100,000
// open tasks in 20 queues of 7 priorities. Each operation is a transaction of its own and ends with its writes encoded,
// as the server hands them to the store; here they are dropped. Parsing, authentication and the disk are not in it.
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "base/crypto.h"
#include "base/env.h"
#include "bench/common_report.h"
#include "core/grid/node.h"
#include "core/queue/claim.h"
#include "core/queue/create.h"
#include "core/queue/resolve.h"

namespace gantry::bench {
namespace {

constexpr std::size_t open_tasks = 100'000;
constexpr std::size_t queue_count = 20;
constexpr std::size_t nodes_per_queue = 50;
constexpr int slots_per_node = 4;
constexpr std::size_t running_tasks = 2'000;
constexpr std::size_t resolved_kept = 2'000;
constexpr std::size_t operations_per_look = 4'000;  // between two looks at the clock
constexpr Time start = Time(Duration(1'795'000'000'000));

/// A small generator with a fixed seed: every run does the same.
class Draw {
 public:
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }

  template <class Id>
  Id id() {
    std::uint64_t halves[2] = {next(), next()};
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), halves, 16);
    bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);
    bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3F) | 0x80);
    return Id::from_bytes(bytes);
  }

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15ull;
};

struct Worker {
  std::string task_queue;
  std::string id;
  NodeId node;
};

struct Running {
  TaskId task;
  int run;
};

class Workload {
 public:
  Workload() {
    for (std::size_t queue = 0; queue < queue_count; ++queue) add_queue(queue);
    while (state_.table<state::Task>().size() < open_tasks) create();
    while (running_.size() < running_tasks) claim();
  }

  /// One of each operation; the number of open tasks and of running ones stays as it is.
  void round() {
    now_ += Duration(1);
    create();
    claim();
    reclaim();
    complete();
    if (++rounds_ % 250 == 0) state_.forget_resolved(resolved_kept, state_.last_commit());
  }

  std::uint64_t bytes_encoded() const { return bytes_; }
  std::size_t open() const { return state_.deadlines().size(); }

 private:
  void add_queue(std::size_t queue) {
    wire::TaskDefinition definition;
    definition.task_queue = fmt::format("bench/queue-{}", queue);
    definition.memory_bytes = std::int64_t{256} << 20;
    definition.canonical = std::string(1'200, 'x');
    definitions_.push_back(definition);
    for (std::size_t i = 0; i < nodes_per_queue; ++i) {
      Worker worker{definition.task_queue, fmt::format("worker-{}-{}", queue, i), draw_.id<NodeId>()};
      state::Node node;
      node.id = worker.node;
      node.name = worker.id;
      node.task_queue = worker.task_queue;
      node.worker_group = "bench";
      node.worker_id = worker.id;
      node.slots = slots_per_node;
      node.memory_bytes = std::int64_t{64} << 30;
      state::Transaction tx(state_, now_);
      GANTRY_ASSERT(grid::register_node(tx, node).has_value());
      finish(tx);
      workers_.push_back(std::move(worker));
    }
  }

  void create() {
    wire::TaskDefinition& definition = definitions_[draw_.below(queue_count)];
    definition.priority = static_cast<wire::Priority>(draw_.below(wire::priority_count));
    definition.created = now_;
    definition.deadline = now_ + hours(1) + Duration(static_cast<std::int64_t>(draw_.below(3'600'000)));
    definition.expires = definition.deadline + days(30);
    TaskId id = draw_.id<TaskId>();
    definition.group = id;
    std::memcpy(definition.digest.data(), id.bytes().data(), definition.digest.size());
    state::Transaction tx(state_, now_);
    GANTRY_ASSERT(queue::create(tx, id, definition).has_value());
    finish(tx);
  }

  void claim() {
    for (;;) {
      const Worker& worker = workers_[draw_.below(workers_.size())];
      if (state_.allocations_on(worker.node).size() >= slots_per_node) continue;
      state::Transaction tx(state_, now_);
      auto claims = queue::claim(tx, {worker.task_queue, "bench", worker.id, 1, worker.node});
      GANTRY_ASSERT(claims.size() == 1);
      running_.push_back({claims[0].task, claims[0].run});
      finish(tx);
      return;
    }
  }

  void reclaim() {
    const Running& run = running_[draw_.below(running_.size())];
    state::Transaction tx(state_, now_);
    GANTRY_ASSERT(queue::reclaim(tx, run.task, run.run).has_value());
    finish(tx);
  }

  void complete() {
    std::size_t which = draw_.below(running_.size());
    Running run = running_[which];
    running_[which] = running_.back();
    running_.pop_back();
    state::Transaction tx(state_, now_);
    GANTRY_ASSERT(queue::report(tx, run.task, run.run, {}).has_value());
    finish(tx);
  }

  void finish(state::Transaction& tx) {
    state::Staged staged = tx.take();
    GANTRY_ASSERT(staged.sequence > 0);
    for (const auto& write : staged.writes) bytes_ += write.value ? write.value->size() : 0;
  }

  state::State state_;
  Draw draw_;
  Time now_ = start;
  std::vector<wire::TaskDefinition> definitions_;
  std::vector<Worker> workers_;
  std::vector<Running> running_;
  std::uint64_t rounds_ = 0;
  std::uint64_t bytes_ = 0;
};

void measure(const Options& options, Report& report) {
  asio::io_context io;
  SystemEnv env(io, 1);
  Workload workload;
  std::uint64_t bytes_before = workload.bytes_encoded();
  std::int64_t begin_us = env.uptime_us();
  std::int64_t wanted_us = options.quick ? 1'000'000 : 5'000'000;
  std::int64_t passed_us = 0;
  std::uint64_t operations = 0;
  while (passed_us < wanted_us) {
    for (std::size_t i = 0; i < operations_per_look; i += 4) workload.round();
    operations += operations_per_look;
    passed_us = env.uptime_us() - begin_us;
  }
  GANTRY_ASSERT(workload.open() == open_tasks);
  double per_second = static_cast<double>(operations) * 1e6 / static_cast<double>(passed_us);
  double bytes_each = static_cast<double>(workload.bytes_encoded() - bytes_before) / static_cast<double>(operations);
  report.add("core_ops_per_s", per_second, "ops/s", "higher");
  report.note(fmt::format("create, claim, reclaim, complete with {} open tasks; {:.0f} bytes encoded each", open_tasks,
                          bytes_each));
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
