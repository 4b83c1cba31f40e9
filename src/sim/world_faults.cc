// When and how hard the faults strike.
#include "sim/world.h"

namespace gantry::sim {
namespace {

constexpr Duration crash_mean = hours(7);
constexpr Duration restart_mean = hours(11);
constexpr Duration pause_mean = hours(8);
constexpr Duration full_disk_mean = hours(5);
constexpr Duration clock_jump_mean = hours(10);
constexpr Duration worker_trouble_mean = hours(4);
constexpr Duration cut_mean = hours(5);
constexpr Duration agent_restart_mean = hours(9);
constexpr Duration engine_restart_mean = hours(4);
constexpr Duration agent_disk_full_mean = hours(6);
/// Between these a stopped server may or may not see that it has stood still; the simulation keeps away from it.
constexpr Duration short_pause_max = seconds(3);
constexpr Duration long_pause_min = seconds(8);
constexpr Duration wall_offset_max = seconds(90);
constexpr Duration stop_step = milliseconds(50);

}  // namespace

void World::start_faults() {
  disk_.on_crash_in_write([this] {
    if (!life_) return;
    kill_server(random_.chance(0.5));
    start_server_after(random_.spread(milliseconds(200), minutes(3)));
  });
  scope_.spawn("crashes", crash_now_and_then());
  scope_.spawn("restarts", restart_now_and_then());
  scope_.spawn("pauses", pause_now_and_then());
  scope_.spawn("full disks", fill_disk_now_and_then());
  scope_.spawn("clock jumps", jump_now_and_then());
  for (Worker& worker : workers_) {
    scope_.spawn("worker trouble", trouble_worker(worker));
    scope_.spawn("cuts", cut_now_and_then(worker.api().link()));
  }
  for (SimNode& node : nodes_) {
    scope_.spawn("agent trouble", trouble_node(node));
    scope_.spawn("agent restarts", restart_now_and_then(node));
    scope_.spawn("full disks", fill_disk_now_and_then(node));
    scope_.spawn("engine trouble", trouble_engine(node.machine()));
    scope_.spawn("cuts", cut_now_and_then(node.link()));
  }
  for (User& user : users_) scope_.spawn("cuts", cut_now_and_then(user.api().link()));
}

Async<> World::crash_now_and_then() {
  for (;;) {
    co_await env_.sleep(random_.until_next(crash_mean));
    if (!life_ || !faults_.fires(Fault::server_crash, random_, 1)) continue;
    bool long_outage = random_.chance(0.25);
    crash_server(long_outage ? random_.spread(minutes(3), minutes(40)) : random_.spread(milliseconds(200), minutes(3)));
  }
}

Async<> World::restart_now_and_then() {
  for (;;) {
    co_await env_.sleep(random_.until_next(restart_mean));
    if (!life_ || !faults_.fires(Fault::server_restart, random_, 1)) continue;
    std::uint64_t number = lives_;
    network_.close_door();
    life_->stopping = true;
    life_->control.spawn("stop", life_->server.stop());
    while (life_ && lives_ == number && life_->control.size() > 0) co_await env_.sleep(stop_step);
    if (life_ && lives_ == number) crash_server(random_.spread(milliseconds(100), seconds(20)));
  }
}

Async<> World::pause_now_and_then() {
  for (;;) {
    co_await env_.sleep(random_.until_next(pause_mean));
    if (!life_ || !faults_.fires(Fault::server_pause, random_, 1)) continue;
    bool is_long = random_.chance(0.6);
    Duration pause =
        is_long ? random_.between(long_pause_min, seconds(40)) : random_.between(seconds(0), short_pause_max);
    std::int64_t until_us = env_.uptime_us() + pause.count() * 1000;
    life_->env.pause_until(until_us);
    watch_.trouble_until(until_us);
    std::uint64_t number = lives_;
    co_await env_.sleep(pause);
    if (life_ && lives_ == number && is_long) watch_.listens_again(life_->env.now());
  }
}

Async<> World::fill_disk_now_and_then() {
  for (;;) {
    co_await env_.sleep(random_.until_next(full_disk_mean));
    if (!faults_.fires(Fault::disk_full, random_, 1)) continue;
    Duration full = random_.spread(milliseconds(20), minutes(4));
    disk_.fill_until(env_.uptime_us() + full.count() * 1000);
  }
}

Async<> World::jump_now_and_then() {
  for (;;) {
    co_await env_.sleep(random_.until_next(clock_jump_mean));
    if (!faults_.fires(Fault::clock_jump, random_, 1)) continue;
    server_wall_offset_ = random_.between(-wall_offset_max, wall_offset_max);
    if (life_) life_->env.set_wall_offset(server_wall_offset_);
    watch_.trouble();
  }
}

Async<> World::trouble_worker(Worker& worker) {
  for (;;) {
    co_await env_.sleep(random_.until_next(worker_trouble_mean));
    if (random_.chance(0.3)) {
      if (!faults_.fires(Fault::worker_pause, random_, 1)) continue;
      worker.pause_until(env_.uptime_us() + random_.spread(seconds(2), minutes(30)).count() * 1000);
      continue;
    }
    if (!worker.up() || !faults_.fires(Fault::worker_crash, random_, 1)) continue;
    worker.crash(random_.spread(seconds(5), hours(1)));
  }
}

Async<> World::trouble_node(SimNode& node) {
  for (;;) {
    co_await env_.sleep(random_.until_next(worker_trouble_mean));
    if (random_.chance(0.3)) {
      if (!faults_.fires(Fault::worker_pause, random_, 1)) continue;
      node.pause_until(env_.uptime_us() + random_.spread(seconds(2), minutes(30)).count() * 1000);
      continue;
    }
    if (!node.up() || !faults_.fires(Fault::worker_crash, random_, 1)) continue;
    Duration down = random_.spread(milliseconds(500), minutes(10));
    env_.call_after_us(0, [&node, down] { node.crash(down); });
  }
}

Async<> World::restart_now_and_then(SimNode& node) {
  for (;;) {
    co_await env_.sleep(random_.until_next(agent_restart_mean));
    if (!node.up() || !faults_.fires(Fault::agent_restart, random_, 1)) continue;
    bool abort = random_.chance(0.5);
    co_await node.restart(abort, random_.spread(milliseconds(500), minutes(1)));
  }
}

Async<> World::fill_disk_now_and_then(SimNode& node) {
  for (;;) {
    co_await env_.sleep(random_.until_next(agent_disk_full_mean));
    if (!faults_.fires(Fault::agent_disk_full, random_, 1)) continue;
    node.fill_disk_until(env_.uptime_us() + random_.spread(milliseconds(20), minutes(3)).count() * 1000);
  }
}

Async<> World::trouble_engine(SimMachine& machine) {
  for (;;) {
    co_await env_.sleep(random_.until_next(engine_restart_mean));
    if (!machine.accepts() || !faults_.fires(Fault::engine_restart, random_, 1)) continue;
    auto how = static_cast<EngineRestart>(random_.below(3));
    machine.restart_engine(how, random_.spread(seconds(1), minutes(5)));
  }
}

Async<> World::cut_now_and_then(Link& link) {
  for (;;) {
    co_await env_.sleep(random_.until_next(cut_mean));
    if (!faults_.fires(Fault::cut, random_, 1)) continue;
    link.cut_until(env_.uptime_us() + random_.spread(seconds(1), minutes(10)).count() * 1000);
  }
}

}  // namespace gantry::sim
