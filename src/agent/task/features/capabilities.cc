// capabilities.privileged, capabilities.disableSeccomp and allowPtrace: more rights in the container, for those who
// have the scope (taskcluster.md 1.2).
#include "agent/task/feature.h"
#include "agent/task/scopes.h"

namespace gantry::agent {
namespace {

class Privileged : public Feature {
 public:
  Async<> link(RunContext& run) override {
    if (!run.settings.allow_privileged) {
      throw Error(ErrorCode::not_authorized, "Cannot run task using docker privileged mode",
                  "this agent does not allow it; one that does is started with --allow-privileged");
    }
    co_await require_scope(run, "docker-worker:capability:privileged", "run task in privileged mode");
    run.plan.privileged = true;
  }
};

class DisableSeccomp : public Feature {
 public:
  Async<> link(RunContext& run) override {
    co_await require_scope(run, "docker-worker:capability:disableSeccomp", "run without a filter of system calls");
    run.plan.all_system_calls = true;
  }
};

class AllowPtrace : public Feature {
 public:
  Async<> link(RunContext& run) override {
    co_await require_scope(run, "docker-worker:feature:allowPtrace", "use the allowPtrace feature");
    run.plan.capabilities_add.emplace_back("SYS_PTRACE");
  }
};

}  // namespace

std::unique_ptr<Feature> make_privileged() { return std::make_unique<Privileged>(); }
std::unique_ptr<Feature> make_disable_seccomp() { return std::make_unique<DisableSeccomp>(); }
std::unique_ptr<Feature> make_allow_ptrace() { return std::make_unique<AllowPtrace>(); }

}  // namespace gantry::agent
