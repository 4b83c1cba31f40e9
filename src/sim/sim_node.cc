#include "sim/sim_node.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "sim/scratch_directory.h"

namespace gantry::sim {
namespace {

constexpr std::uint16_t port = 80;
/// Below what some containers write, so that the bound is met.
constexpr std::int64_t log_bytes_max = 64 * 1024;
/// So that images go and come back all the time.
constexpr Duration image_expiration = minutes(2);
constexpr std::int64_t disk_bytes = std::int64_t{1} << 40;
constexpr Duration stop_step = milliseconds(100);
constexpr Duration stop_max = seconds(90);

/// The agent's way to the server lives longer than the agent: answers may still be on their way.
std::shared_ptr<net::Transport> not_owned(net::Transport& transport) { return {std::shared_ptr<void>(), &transport}; }

}  // namespace

SimNode::Life::Life(SimNode& node, std::uint64_t number)
    : env(node.world_.clock, node.world_.seed, fmt::format("agent {} {}", node.name(), number)),
      agent(env, node.settings(), not_owned(node.tap_), std::make_shared<SimEngine>(node.machine_, env)),
      control(env.executor(), "control of " + node.name()) {}

SimNode::SimNode(ClientWorld& world, ContainerFacts& facts, NodePlan plan, std::string directory)
    : world_(world),
      plan_(std::move(plan)),
      directory_(std::move(directory)),
      machine_(world.clock, world.seed, plan_.id, plan_.memory_bytes, world.faults, world.trace, facts, world.fail),
      link_(world.network, machine_.env(), name()),
      tap_(world, link_) {
  NodeId node = NodeId::random(machine_.env());
  std::filesystem::create_directories(directory_);
  std::ofstream(directory_ + "/agent-id") << node.to_string() << "\n";
  world_.watch.native_worker(name(), node);
}

agent::AgentSettings SimNode::settings() const {
  agent::AgentSettings settings;
  settings.data_directory = directory_;
  settings.server_host = api_host;
  settings.server_port = port;
  settings.credentials = world_.root_credentials;
  settings.name = plan_.id;
  settings.task_queue = plan_.task_queue;
  settings.worker_group = plan_.group;
  settings.worker_id = plan_.id;
  settings.slots = plan_.slots;
  settings.log_bytes_max = log_bytes_max;
  settings.garbage.image_expiration = image_expiration;
  // Never that of the machine that simulates.
  settings.garbage.free_bytes = [this](const std::string&) {
    return disk_full_until_us_ > world_.clock.now_us() ? std::int64_t{0} : disk_bytes;
  };
  return settings;
}

void SimNode::start() {
  if (life_) return;
  world_.trace.event(world_.clock.now_us(), "agent starts", name(), lives_);
  life_.emplace(*this, ++lives_);
  life_->env.set_wall_offset(machine_.env().wall_offset());
  life_->env.on_disk([this] { return disk_full_until_us_ > world_.clock.now_us(); });
  link_.belongs_to(life_->env);
  life_->agent.start();
}

/// Ends every coroutine of a dead agent. Nothing that they do now reaches anybody: no timer of theirs fires, and what
/// was to be done on the blocking pool is not done.
void SimNode::end_life() {
  if (!life_) return;
  world_.trace.event(world_.clock.now_us(), "agent ends", name(), lives_);
  world_.burying = true;
  life_->env.kill();
  life_->control.spawn("stop", life_->agent.stop(agent::OnStop::leave));
  world_.clock.run_ready();
  life_->control.cancel();
  world_.clock.run_ready();
  world_.burying = false;
  link_.belongs_to(machine_.env());
  life_.reset();
}

void SimNode::crash(Duration down) {
  if (!life_) return;
  end_life();
  machine_.env().call_after(down, [this] { start(); });
}

void SimNode::stop() { end_life(); }

Async<> SimNode::restart(bool abort, Duration down) {
  if (!life_) co_return;
  std::uint64_t number = lives_;
  life_->control.spawn("stop", life_->agent.stop(abort ? agent::OnStop::hand_back : agent::OnStop::leave));
  Duration until = machine_.env().uptime() + stop_max;
  while (life_ && lives_ == number && life_->control.size() > 0 && machine_.env().uptime() < until) {
    co_await machine_.env().sleep(stop_step);
  }
  if (!life_ || lives_ != number) co_return;
  machine_.env().call_after_us(0, [this, number, down] {
    if (life_ && lives_ == number) crash(down);
  });
}

void SimNode::pause_until(std::int64_t until_us) {
  if (life_) life_->env.pause_until(until_us);
}

bool SimNode::healthy() const {
  return life_ && life_->agent.ready() && life_->control.size() == 0 && !life_->env.paused() && !link_.is_cut() &&
         machine_.accepts();
}

void SimNode::set_wall_offset(Duration offset) {
  machine_.env().set_wall_offset(offset);
  if (life_) life_->env.set_wall_offset(offset);
}

std::size_t SimNode::spools() const { return count_files(directory_ + "/spool"); }

}  // namespace gantry::sim
