// Looks at the live server after every step of a simulation: each change of a run must be one that is allowed, claims
// go by priority and age, leases are kept, deadlines are kept, nobody waits beside a pending task, dependencies and
// groups are as their clients were told, and the state's indexes say what its tables say.
#pragma once

#include <map>
#include <set>
#include <string>

#include "server/server.h"
#include "sim/dependency_watch.h"
#include "sim/group_book.h"
#include "sim/oracle.h"
#include "sim/sim_env.h"
#include "sim/sim_network.h"

namespace gantry::sim {

class StateWatch {
 public:
  /// Reads a resolved task from the disk.
  using ReadCold = std::function<std::optional<state::Task>(TaskId)>;

  StateWatch(VirtualClock& clock, Oracle& oracle, GroupBook& groups, Oracle::Fail fail, ReadCold read_cold)
      : clock_(clock),
        oracle_(oracle),
        groups_(groups),
        fail_(std::move(fail)),
        read_cold_(std::move(read_cold)),
        dependencies_(oracle, fail_) {}

  /// A worker of this "<group>/<id>" is a native node.
  void native_worker(const std::string& worker, NodeId node) { nodes_[worker] = node; }

  // What the server goes through.

  /// It has read its state from the disk, and listens from now on.
  void opened(Time server_now);
  /// It listens again after it stood still: leases start anew.
  void listens_again(Time server_now);
  void trouble() { trouble_until(clock_.now_us()); }
  void trouble_until(std::int64_t until_us) { last_trouble_us_ = std::max(last_trouble_us_, until_us); }
  std::int64_t last_trouble_us() const { return last_trouble_us_; }

  // What the network carries to it.

  void request_arrived(const Exchange& exchange);
  void request_answered(const Exchange& exchange) { waiting_.erase(exchange.id); }
  void server_gone() { waiting_.clear(); }

  /// After each step, with a server that leads.
  void look(server::Server& server, Time server_now);

 private:
  struct Mirror {
    state::Task task;
    std::uint64_t version = 0;
    bool settled = false;
  };
  /// A task in line, as it stood when it was looked at.
  struct Waiting {
    std::size_t runs;
    wire::Priority priority;
  };
  struct Polls {
    std::int64_t last_us = 0;
    std::int64_t restarted_us = -1;
  };
  struct WaitingClaim {
    std::string queue;
    std::string worker;
  };
  struct Starving {
    TaskId task;
    std::int64_t since_us = 0;
  };

  void look_at_tasks(server::Server& server);
  void look_at_task(server::Server& server, const state::Task& task);
  void check_presence(const state::State& state);
  void check_change(const state::Task& before, const state::Task& after);
  void check_run_change(const state::Task& task, int run, const state::Run& before, const state::Run& after);
  void check_expiry(const state::Task& task, int run, const state::Run& before, const state::Run& after);
  void check_order(const state::State& state);
  bool goes_first(const state::Task& waits, const state::Task& taken) const;
  void check_capacity(const state::State& state);
  void check_deadlines(const state::State& state, Time server_now);
  void check_waiting(const state::State& state, Time server_now);
  /// The node that this worker is; nullptr for a foreign worker.
  const state::Node* node_of(const state::State& state, const std::string& worker) const;
  /// The task that this worker should be given now, or nullptr.
  const state::Task* task_for(const state::State& state, const std::string& queue, const std::string& worker) const;
  void remember_pending(const state::State& state);
  void fail(TaskId id, std::string_view what);

  VirtualClock& clock_;
  Oracle& oracle_;
  GroupBook& groups_;
  Oracle::Fail fail_;
  ReadCold read_cold_;
  DependencyWatch dependencies_;
  std::map<std::string, NodeId> nodes_;
  std::map<NodeId, Polls> polls_;
  std::map<std::uint64_t, WaitingClaim> waiting_;
  std::map<std::string, Starving> starving_;
  std::map<TaskId, Mirror> mirrors_;
  std::map<TaskId, Waiting> pending_before_;
  std::vector<TaskId> taken_now_;
  std::uint64_t last_commit_ = 0;
  std::uint64_t last_durable_ = 0;
  std::uint64_t failed_groups_ = 0;
  bool start_over_ = true;  // something was undone: there is nothing to compare with
  Time listening_since_;
  std::int64_t listening_since_us_ = 0;
  std::int64_t last_trouble_us_ = 0;
};

}  // namespace gantry::sim
