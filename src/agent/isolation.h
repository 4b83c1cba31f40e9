// What tasks' containers may reach of the machine that they run on: by rules of iptables on the bridge of the tasks'
// network, in chains of our own (docs/isolation.md).
//
//   GANTRY-TASKS-IN   from INPUT: of this machine only answers, name servers and the tasks' proxies (agent/proxy/)
//   GANTRY-TASKS-OUT  from DOCKER-USER: no link-local addresses, where clouds give out credentials
//
// What they let pass goes on to the machine's other rules. Several agents on one machine share the chains; each opens
// the port of its own proxy, and closes those on which nobody listens any more. The rules stay when an agent ends, as
// containers may.
//
// io_context thread only; the programs run on the blocking pool.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/run_program.h"
#include "base/env.h"
#include "engine/engine.h"

namespace gantry::agent {

/// What must be there.
struct IsolationRules {
  std::string bridge;
  std::set<std::pair<std::string, int>> doors;  // addresses and TCP ports of this machine that containers may reach
  /// Whether somebody listens on this TCP port of this machine.
  std::function<bool(int)> is_listening;
  /// Whether this machine has an interface of this name.
  std::function<bool(const std::string&)> is_here;
};

/// Puts in place what is missing, takes away what is too much. Returns how many rules it had to add or remove. Throws
/// Error: what the programs say. Blocks.
int apply_rules(const IsolationRules& rules, const ProgramRunner& run);

class Isolation {
 public:
  /// `run` is run_program() but in tests; `is_here` tells whether this machine has an interface.
  Isolation(Env& env, engine::Engine& engine, std::string network, ProgramRunner run = {},
            std::function<bool(const std::string&)> is_here = {});

  /// Puts the rules in place, or back. Where that cannot be it is logged, once, and trouble() says why. Throws only
  /// what the engine throws.
  Async<> check();
  /// Containers may reach this TCP port of this machine from now on.
  Async<> let_in(std::string address, int port);
  /// Why containers are not kept from this machine; empty if they are.
  const std::string& trouble() const { return trouble_; }

 private:
  struct Outcome {
    int changes = 0;
    std::string trouble = {};
  };
  Async<Outcome> put_in_place(std::string bridge);

  Env& env_;
  engine::Engine& engine_;
  std::string network_;
  ProgramRunner run_;
  std::function<bool(const std::string&)> is_here_;
  std::set<std::pair<std::string, int>> doors_;
  std::shared_ptr<std::mutex> at_work_ = std::make_shared<std::mutex>();  // of the blocking pool's threads
  std::string trouble_;
  bool told_ = false;
};

}  // namespace gantry::agent
