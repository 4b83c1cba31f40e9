// A scripted worker of somebody else's: speaks Taskcluster's API, claims, holds its claims, reports, dies, and forgets
// everything when it dies. Native nodes run the real agent (sim/sim_node.h).
#pragma once

#include <list>
#include <map>

#include "sim/api_client.h"

namespace gantry::sim {

struct WorkerPlan {
  std::string group;
  std::string id;
  std::string task_queue;
  int slots = 1;
};

class Worker {
 public:
  Worker(ClientWorld& world, WorkerPlan plan);

  /// The first start, too.
  void start();
  /// The process dies now; it starts again by itself after `down`.
  void crash(Duration down);
  void pause_until(std::int64_t until_us) { env_.pause_until(until_us); }
  /// Nothing of it goes on afterwards, once what is ready has run.
  void stop();
  bool up() const { return up_; }
  std::size_t busy() const;
  ApiClient& api() { return api_; }
  SimEnv& env() { return env_; }
  const WorkerPlan& plan() const { return plan_; }

 private:
  /// What a run does, decided when it is claimed.
  struct Container {
    std::int64_t ends_us = 0;
    wire::ReasonResolved outcome = wire::ReasonResolved::completed;
    int artifacts = 0;
    Signer signer;
    Time taken_until;
    Time task_expires;
  };

  std::string worker_name() const { return plan_.group + "/" + plan_.id; }
  std::string worker_body(int tasks) const;
  Container make_container(wire::RunRef run);
  static void renew(const json::object& claim, Container& container);

  Async<> claim_loop();
  Async<> execute(wire::RunRef run);
  Async<bool> reclaim(wire::RunRef run);
  Async<> record_artifacts(wire::RunRef run);
  Async<> report(wire::RunRef run);
  Async<Answer> send_report(wire::RunRef run);
  void received(const Answer& answer);
  bool holds(wire::RunRef run) const { return containers_.contains(run); }

  ClientWorld& world_;
  WorkerPlan plan_;
  SimEnv env_;
  ApiClient api_;
  bool up_ = false;
  std::map<wire::RunRef, Container> containers_;
  std::string claim_token_;  // of the claim whose answer has not come yet; empty: the next one is a new one
  Event slot_free_;
  std::list<Scope> lives_;  // the last one is the present one; older ones have ended or are about to
};

}  // namespace gantry::sim
