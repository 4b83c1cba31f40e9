// payload.cache: directories that outlive the task (taskcluster.md 1.6); and onExitStatus.purgeCaches, exit codes after
// which they are thrown away.
#include <fmt/format.h>

#include "agent/caches.h"
#include "agent/task/feature.h"
#include "agent/task/scopes.h"

namespace gantry::agent {
namespace {

class Caches : public Feature {
 public:
  Async<> link(RunContext& run) override {
    CacheStore& caches = *run.settings.caches;
    if (!run.adopted) {
      for (const auto& [name, path] : run.payload.caches) {
        co_await require_scope(run, "docker-worker:cache:" + name, fmt::format("attach cache \"{}\"", name));
      }
      co_await caches.check_purges(run.settings.agent_signer);
    }
    std::string held;
    for (const auto& [name, path] : run.payload.caches) {
      std::string volume = co_await caches.acquire(run.run, name);
      held += (held.empty() ? "" : " ") + volume;
      run.plan.mounts.push_back({engine::Mount::Type::volume, std::move(volume), path});
    }
    run.plan.labels[held_caches_label] = std::move(held);
  }

  /// The container has ended; nothing but its removal is left to do.
  Async<> killed(RunContext& run) override {
    run.settings.caches->end_soon(run.run);
    co_return;
  }

  Async<> removed(RunContext& run) override {
    CacheStore& caches = *run.settings.caches;
    bool gone = run.container.empty();
    if (!gone) caches.leave(run.run);
    if (gone) co_await caches.release(run.run);
  }
};

class CachePurge : public Feature {
 public:
  Async<> stopped(RunContext& run) override {
    bool purge = run.exit_code && run.payload.on_exit_status.purges_caches(*run.exit_code);
    if (!purge || run.payload.caches.empty()) co_return;
    co_await run.log.line(fmt::format(
        "Purging the task's caches: exit code {} is one of payload.onExitStatus.purgeCaches", *run.exit_code));
    co_await run.settings.caches->condemn(run.run);
  }
};

}  // namespace

std::unique_ptr<Feature> make_caches() { return std::make_unique<Caches>(); }
std::unique_ptr<Feature> make_cache_purge() { return std::make_unique<CachePurge>(); }

}  // namespace gantry::agent
