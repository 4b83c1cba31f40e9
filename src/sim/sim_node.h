// A native node: a machine with a container engine (sim/sim_machine.h), and on it the real agent, which dies, is
// stopped and starts again, with its data directory and its containers as it left them.
#pragma once

#include <list>
#include <memory>
#include <optional>

#include "agent/agent.h"
#include "sim/agent_tap.h"
#include "sim/sim_engine.h"
#include "sim/sim_machine.h"

namespace gantry::sim {

struct NodePlan {
  std::string group;
  std::string id;
  std::string task_queue;
  int slots = 1;
  std::int64_t memory_bytes = 0;
};

class SimNode {
 public:
  SimNode(ClientWorld& world, ContainerFacts& facts, NodePlan plan, std::string directory);
  SimNode(const SimNode&) = delete;
  SimNode& operator=(const SimNode&) = delete;

  // start(), crash() and stop() must be called outside of any handler.

  void start();
  /// The agent's process dies now; it starts again by itself after `down`.
  void crash(Duration down);
  /// For good.
  void stop();
  /// The agent is asked to stop, dies then or a while later, and starts again. From within a coroutine.
  Async<> restart(bool abort, Duration down);
  void pause_until(std::int64_t until_us);
  void fill_disk_until(std::int64_t until_us) { disk_full_until_us_ = until_us; }

  bool up() const { return life_.has_value(); }
  /// Nothing keeps the agent from its work now.
  bool healthy() const;
  Link& link() { return link_; }
  SimMachine& machine() { return machine_; }
  const SimMachine& machine() const { return machine_; }
  void set_wall_offset(Duration offset);
  const NodePlan& plan() const { return plan_; }
  /// Files of the agent that belong to no run that it holds.
  std::size_t spools() const;

 private:
  struct Life {
    Life(SimNode& node, std::uint64_t number);
    SimEnv env;
    agent::Agent agent;
    Scope control;
  };

  std::string name() const { return plan_.group + "/" + plan_.id; }
  agent::AgentSettings settings() const;
  void end_life();

  ClientWorld& world_;
  NodePlan plan_;
  std::string directory_;
  SimMachine machine_;
  Link link_;
  AgentTap tap_;
  std::optional<Life> life_;
  std::uint64_t lives_ = 0;
  std::int64_t disk_full_until_us_ = 0;
};

}  // namespace gantry::sim
