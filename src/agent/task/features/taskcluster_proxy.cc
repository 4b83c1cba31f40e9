// taskclusterProxy: inside the container http://taskcluster/ leads to the server, signed with the task's scopes
// (taskcluster.md 1.7, agent/proxy/task_proxy.h).
#include <fmt/format.h>

#include "agent/isolation.h"
#include "agent/proxy/limits.h"
#include "agent/proxy/task_proxy.h"
#include "agent/task/feature.h"

namespace gantry::agent {
namespace {

constexpr const char* host_name = "taskcluster";

class TaskclusterProxy : public Feature {
 public:
  Async<> link(RunContext& run) override {
    std::optional<Error> failure;
    try {
      TaskProxy::Address address = co_await run.settings.proxy->open(run.adopted);
      if (run.settings.isolation) co_await run.settings.isolation->let_in(address.host, address.port);
      admission_.reset();
      admission_ = run.settings.proxy->admit(run);
      run.plan.extra_hosts.emplace_back(host_name, address.host);
      run.plan.env.emplace_back("TASKCLUSTER_PROXY_URL", address.port == proxy_port
                                                             ? fmt::format("http://{}", host_name)
                                                             : fmt::format("http://{}:{}", host_name, address.port));
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) throw failure->in("Failed to initialize taskcluster proxy");
  }

 private:
  std::unique_ptr<Admission> admission_;
};

}  // namespace

std::unique_ptr<Feature> make_taskcluster_proxy() { return std::make_unique<TaskclusterProxy>(); }

}  // namespace gantry::agent
