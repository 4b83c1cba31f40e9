// Where the images of all runs of an agent come from (docs/images.md): from a registry, with the credentials and
// mirrors of the agent's registries file, or from an artifact of a task.
//
// An image that is there is taken as it is; any other is fetched once, whoever else waits for it meanwhile.
//
// io_context thread only. Life: construct, ensure() for each run, stop() once no run is left.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/images/image_list.h"
#include "agent/images/registries.h"
#include "agent/task/feature.h"

namespace gantry::agent {

struct ImageStoreSettings {
  std::string directory;  // made by whoever makes the store; images.json and spooled archives
  Registries registries;
};

/// An image while a run uses it: until this is gone it counts as used. Must not outlive the store.
class ImageUse {
 public:
  ImageUse(ImageList& list, std::string reference, std::string id, std::string archive_sha256)
      : list_(list), reference_(std::move(reference)), id_(std::move(id)), archive_sha256_(std::move(archive_sha256)) {
    list_.begin_use(reference_);
  }
  ImageUse(const ImageUse&) = delete;
  ImageUse& operator=(const ImageUse&) = delete;
  ~ImageUse() { list_.end_use(reference_); }

  /// What the engine is to make the container of.
  const std::string& reference() const { return reference_; }
  /// "sha256:..."; empty if the engine does not tell.
  const std::string& id() const { return id_; }
  /// SHA-256 of the artifact that the image came in, in hex; empty for an image of a registry.
  const std::string& archive_sha256() const { return archive_sha256_; }

 private:
  ImageList& list_;
  std::string reference_;
  std::string id_;
  std::string archive_sha256_;
};

class ImageStore {
 public:
  /// Clears the folder of spooled archives (a folder of the directory), reads images.json. Throws Error(unavailable).
  ImageStore(Env& env, engine::Engine& engine, ImageStoreSettings settings);
  ~ImageStore();

  /// The image that `run.plan.image` names, or else the payload's: it is there when this returns. What happens goes
  /// into the run's log. If the caller is cancelled, the fetching goes on as long as another run waits for it.
  ///
  /// Throws Error: not_authorized if the run's scopes do not allow it ("Not authorized to use image ..."),
  /// not_found, invalid_input (a bad archive), unavailable, deadline_exceeded (image_time_max, image_stall_max).
  Async<std::shared_ptr<const ImageUse>> ensure(RunContext& run);

  /// For a container that was made before this store: the image counts as used as long as the result lives.
  std::shared_ptr<const ImageUse> used(const std::string& reference);
  /// What this agent has brought to the machine, by reference.
  std::vector<ImageEntry> entries() const { return list_.entries(); }
  /// Removes an image of entries() from the engine; whoever wants it meanwhile waits, and fetches it anew. False if it
  /// stays: a run uses it or is about to; or it was not this agent's any more (another image has that name by now, or
  /// none) and has been forgotten. Throws Error: what the engine throws, conflict if a container uses it.
  Async<bool> remove_unused(std::string reference);
  /// Archives on their way to the engine.
  const std::string& spool_directory() const { return spool_directory_; }
  /// Whether images are being fetched.
  bool is_fetching() const { return !jobs_.empty(); }
  /// When images were used last is known after a restart, too. Now and then.
  void save_uses() { list_.save_uses(); }
  /// Ends what is under way, which nobody may wait for any more, and writes the list down.
  Async<> stop();

 private:
  /// What is wanted: the same for all who want the same image.
  struct Wanted {
    wire::ImageSource::Kind kind = wire::ImageSource::Kind::registry;
    std::string reference;  // the engine's name for it
    std::string shown;      // for people
    std::string task;       // not of a registry: whose artifact
    std::string path;       // and which
  };
  struct Present {
    std::string id;
    std::string digest;
    std::string archive_sha256;
    std::int64_t bytes = 0;
  };
  struct Job;
  class Waiter;
  class Leaving;
  using JobPointer = std::shared_ptr<Job>;

  Async<Wanted> resolve(RunContext& run);
  Async<Wanted> resolve_registry(RunContext& run, std::string reference);
  Async<Wanted> resolve_artifact(RunContext& run);
  Async<std::optional<Present>> find(Wanted wanted);
  Async<bool> engine_answers();
  Async<> await_removal(std::string reference);
  Async<> fetch(RunContext& run, Wanted wanted);
  Async<> follow(JobPointer job, RunContext& run, std::string first_line);
  Async<> run_job(JobPointer job);
  Async<> try_job(JobPointer job);
  Async<> await_turn(JobPointer job);
  Async<> attempt(JobPointer job);
  Async<> attempt_to_end(JobPointer job);
  Async<> back_off(JobPointer job, Duration delay);
  Async<> get(JobPointer job);
  Async<> pull(JobPointer job);
  Async<bool> pull_from_mirrors(JobPointer job, ImageName name);
  Async<> load(JobPointer job);
  Async<> record(JobPointer job, std::string archive_sha256);

  Env& env_;
  engine::Engine& engine_;
  ImageStoreSettings settings_;
  std::string spool_directory_;
  ImageList list_;
  std::map<std::string, JobPointer> jobs_;  // by reference
  std::set<std::string> leaving_;           // references that are being removed
  Event left_;
  int running_ = 0;
  Event turn_;
  Scope scope_;
};

}  // namespace gantry::agent
