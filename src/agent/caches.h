// The agent's caches: directories that outlive tasks, each an engine volume with labels (taskcluster.md 1.6). A cache,
// by its name and task queue, has as many instances as tasks have used it at once.
//
// An instance is held by one run at a time, from acquire() until its container is known to be gone; so there are never
// two live containers with one instance. What holds after a restart of the agent stands in labels: the containers' say
// which instances they have, the volumes' what they are. Volumes without this agent's id are never touched.
//
// io_context thread only. restore() once, before anything else.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/observer.h"
#include "agent/server_api.h"
#include "base/json.h"
#include "engine/engine.h"
#include "wire/node_messages.h"

namespace gantry::agent {

/// Of a volume, beside agent_label: the cache's name, its task queue, and when it was made (milliseconds since 1970).
inline constexpr const char* cache_label = "gantry.cache";
inline constexpr const char* cache_queue_label = "gantry.cache.queue";
inline constexpr const char* cache_made_label = "gantry.cache.made";
/// Of a container: the volumes that it holds, with spaces between them.
inline constexpr const char* held_caches_label = "gantry.caches";

// Past these the free instance that was used longest ago goes; those in use do not count as free.
inline constexpr std::size_t instances_per_cache_max = 32;
inline constexpr std::size_t instances_max = 200;

struct CacheSettings {
  std::string agent_id;
  std::string task_queue;
  std::string file;     // remembers when instances were used last, and which are not to be used again
  Observer observer{};  // told of hits and misses; may be null
};

class CacheStore {
 public:
  CacheStore(Env& env, engine::Engine& engine, ServerApi& server, CacheSettings settings);

  /// Learns what there is: the engine's volumes, held by the runs whose containers say so. Throws Error if the engine
  /// cannot tell.
  Async<> restore(std::vector<engine::ContainerSummary> containers);

  /// Asks the server which instances are not to be used any more; free ones are removed at once, the others once they
  /// are free. Whoever waits for this knows of every request that was made before. A server that does not answer is
  /// logged and changes nothing.
  Async<> check_purges(Signer signer);
  /// An instance for the run: the one it has already, else the free one that was used last, else a new one. While one
  /// is about to be free (end_soon), it is waited for a little. Returns the volume's name. Throws what the engine
  /// throws.
  Async<std::string> acquire(wire::RunRef run, std::string cache);
  /// The run's container has ended: what it holds is free in a moment.
  void end_soon(wire::RunRef run);
  /// What the run holds is not to be used again by others.
  Async<> condemn(wire::RunRef run);
  /// The run's container is gone, or there never was one. Also for a run that holds nothing.
  Async<> release(wire::RunRef run);

  // A run that is over while its container may still be there holds on as a leftover, until the agent's upkeep has
  // looked: leftovers() first, then the containers, then release_leftovers() with those that are still there.
  void leave(wire::RunRef run);
  using Leftovers = std::map<wire::RunRef, std::uint64_t>;
  const Leftovers& leftovers() const { return leftovers_; }
  Async<> release_leftovers(Leftovers seen, std::set<wire::RunRef> still_there);

  /// Now and then: removes what could not be removed before, finds what an engine that broke off has made or lost, and
  /// asks for purges if nobody has for long. Costs nothing while there are no caches. Throws nothing but cancellation.
  Async<> upkeep(Signer signer);

  struct Unused {
    std::string volume;
    std::string cache;
    Time used;
  };
  /// Instances that nobody holds and that may be used again.
  std::vector<Unused> unused() const;
  /// Removes one that is unused, for room on the disk. Whether it is gone now; false too if somebody holds it by now.
  /// One that cannot be removed yet is not used again, and goes later. Throws nothing but cancellation.
  Async<bool> discard(std::string volume);

  /// What there is, those used last first, caches_told_max at most.
  std::vector<wire::CacheSummary> summary() const;

 private:
  struct Instance {
    std::string volume;
    std::string task_queue;
    std::string cache;
    Time made;
    Time used;
    std::uint64_t uses = 0;            // so far; tells equal times apart
    std::set<wire::RunRef> holders{};  // several only after a restart, when leftovers have it, too
    bool condemned = false;            // not to be used again
    bool being_removed = false;
    bool removal_failed = false;  // which has been logged
  };
  class Asking;

  std::optional<Instance> read_volume(const engine::VolumeInfo& volume) const;
  Instance* held_by(wire::RunRef run, const std::string& cache);
  Instance* last_used_free(const std::string& cache);
  bool one_ends_soon(const std::string& cache) const;
  Instance& add_instance(const std::string& cache);
  void hold(Instance& instance, wire::RunRef run);
  void let_go(Instance& instance, wire::RunRef run);
  Async<std::string> ensure_volume(std::string volume, wire::RunRef run, bool fresh);
  void take_up_holders(const engine::ContainerSummary& container);
  Async<> ask_for_purges(Signer signer);
  void take_purge_request(const json::value& request);
  void make_room(const std::string& cache);
  Async<> remove_condemned();
  Async<> compare_with_engine();
  Async<> recall();
  Async<> remember();

  Env& env_;
  engine::Engine& engine_;
  ServerApi& server_;
  CacheSettings settings_;
  std::map<std::string, Instance> instances_;  // by volume
  bool used_ = false;                          // there are, or may be, volumes of ours
  std::uint64_t uses_ = 0;
  std::uint64_t removals_ = 0;
  std::set<wire::RunRef> ending_;  // end_soon
  Event freed_;
  Leftovers leftovers_;
  std::uint64_t last_leftover_ = 0;
  bool asking_ = false;  // check_purges
  std::uint64_t checks_begun_ = 0;
  std::uint64_t checks_done_ = 0;
  Event asked_;
  std::optional<Time> last_check_;    // that was answered: when it began
  std::optional<Duration> asked_at_;  // Env::uptime of the last one, answered or not
  bool check_failure_told_ = false;
  bool unsaved_ = false;
  struct File;
  std::shared_ptr<File> file_;  // shared with what writes it on the blocking pool
};

}  // namespace gantry::agent
