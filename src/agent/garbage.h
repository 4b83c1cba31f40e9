// Clears away what an agent has left on its machine and does not need any more (docs/garbage.md): images that it has
// brought, caches, containers, volumes and files of runs that are over; and takes care that there is room on the disk
// before tasks are claimed. What others have put there is never touched, and nothing that a run, or any container,
// uses.
//
// When the disk is short, what is least worth keeping goes first, one after the other until there is room:
//
//   value = what it costs to get again, in seconds / (seconds since its last use + 60)
//
// An image costs what its pull or load has taken, or, where that is not known, its bytes at assumed_fetch_bytes_per_s;
// a cache costs assumed_cache_seconds, for nobody knows (an engine takes long to tell a volume's size).
//
// io_context thread only. Life: construct; locate_disk() once the engine answers; then run() in a scope.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/caches.h"
#include "agent/images/image_store.h"
#include "agent/settings.h"

namespace gantry::agent {

inline constexpr double assumed_fetch_bytes_per_s = 20e6;
inline constexpr double assumed_cache_seconds = 60;
/// Removals of one thing that fail before it is left alone, for GarbageSettings::container_expiration.
inline constexpr int removal_tries_max = 5;
/// An image that a container uses is left alone for so long.
inline constexpr Duration image_refusal_pause = minutes(5);
inline constexpr std::size_t images_refused_max = 10'000;
inline constexpr std::size_t failures_max = 10'000;
/// Between looks at a disk that is short.
inline constexpr Duration short_disk_interval = seconds(5);

/// See above; `idle` since its last use.
double keep_value(double cost_seconds, Duration idle);
double cost_seconds(const ImageEntry& image);

struct GarbageCounters {
  std::int64_t sweeps = 0;
  std::int64_t containers_removed = 0;
  std::int64_t images_removed = 0;
  std::int64_t caches_removed = 0;
  std::int64_t volumes_removed = 0;
  std::int64_t files_removed = 0;
  std::int64_t given_up = 0;    // removals, after removal_tries_max
  std::int64_t disk_short = 0;  // how often the disk has become short
};

/// What the agent knows.
struct GarbagePlace {
  std::string agent_id;
  std::string data_directory;
  std::string spool_directory;
  std::function<bool(wire::RunRef)> holds;  // whether this run is one of the agent's
  std::function<int()> free_slots;
};

class Garbage {
 public:
  Garbage(Env& env, engine::Engine& engine, CacheStore& caches, ImageStore& images, GarbageSettings settings,
          GarbagePlace place);

  /// Finds the disk that is watched: GarbageSettings::disk_path, else the engine's directory if it is on this machine,
  /// else the data directory's.
  Async<> locate_disk(std::string engine_directory);
  /// So many of `slots` that half of what is free on the disk is enough for them; at least one.
  Async<int> slots_with_room(int slots);

  /// Sweeps again and again, until it is cancelled. Throws nothing else.
  Async<> run();
  /// To be asked before each claim: makes room if there is too little. False: nothing may be claimed now, and trouble()
  /// says why. A disk that cannot be looked at counts as one with room. Throws nothing but cancellation.
  Async<bool> room_for_tasks();
  /// Removes a container of ours that no run needs. Whether it is gone now; one that could not be removed
  /// removal_tries_max times is left alone for a while. Throws nothing but cancellation.
  Async<bool> remove_container(std::string id);

  /// Why nothing is claimed; empty if there is room.
  const std::string& trouble() const { return trouble_; }
  const GarbageCounters& counters() const { return counters_; }

 private:
  class Sweeping;
  struct Candidate {
    enum class Kind { image, cache };
    Kind kind = Kind::image;
    std::string name;   // reference or volume
    std::string shown;  // for people
    double value = 0;
    Duration idle{};
  };
  struct Failures {
    int tries = 0;
    Duration last{};  // Env::uptime
  };

  Async<> sweep();
  Async<> remove_expired_images();
  Async<> remove_stray_volumes();
  Async<> remove_stray_files();
  bool file_is_needed(const std::string& directory, const std::string& name) const;
  Async<> make_room();
  std::vector<Candidate> candidates();
  Async<bool> remove(Candidate candidate, std::string_view why);
  Async<bool> remove_image(std::string reference, std::string why);
  Async<bool> remove_volume(std::string volume);
  /// Whether it is gone now; counts failures.
  Async<bool> try_to_remove(std::string what, Async<> removal);

  std::int64_t needed_bytes() const;
  /// -1: it cannot be found out.
  Async<std::int64_t> free_bytes();
  void set_short(std::int64_t free, std::int64_t needed);
  void set_room();
  bool may_try(const std::string& what);
  void failed(const std::string& what, const Error& error);
  void tell(std::string_view event, json::object fields = {}) const;

  Env& env_;
  engine::Engine& engine_;
  CacheStore& caches_;
  ImageStore& images_;
  GarbageSettings settings_;
  GarbagePlace place_;
  std::string disk_;
  bool disk_failure_told_ = false;
  bool sweeping_ = false;  // one at a time
  Event swept_;
  std::map<std::string, Failures> failures_;        // by what could not be removed
  std::map<std::string, Duration> refused_images_;  // when, by reference
  std::set<std::string> stray_volumes_;             // of the last sweep: what still is in this one goes
  std::set<std::string> stray_files_;               // likewise
  std::string trouble_;
  GarbageCounters counters_;
};

}  // namespace gantry::agent
