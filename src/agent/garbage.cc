#include "agent/garbage.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "agent/task/container_spec.h"
#include "base/log.h"
#include "base/text.h"

namespace gantry::agent {
namespace {

constexpr double idle_grace_seconds = 60;  // so that what was used just now has a value at all
constexpr std::size_t files_listed_max = 100'000;
constexpr std::size_t task_id_characters = 22;

double as_seconds(Duration duration) { return static_cast<double>(duration.count()) / 1000; }

/// Blocks.
std::int64_t free_on_disk(const std::string& path) {
  return static_cast<std::int64_t>(std::filesystem::space(path).available);
}

/// The files of a directory, those of folders not, in order; nothing if it is not there. Blocks.
std::vector<std::string> files_of(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::error_code unknown;
    if (at->is_regular_file(unknown)) names.push_back(at->path().filename());
    if (names.size() >= files_listed_max) break;
  }
  std::ranges::sort(names);
  return names;
}

/// Of a file that run_file_name() named.
std::optional<wire::RunRef> run_of_file(std::string_view name) {
  if (name.size() <= task_id_characters || name[task_id_characters] != '-') return std::nullopt;
  auto task = TaskId::parse(name.substr(0, task_id_characters));
  if (!task) return std::nullopt;
  int run = 0;
  for (char c : name.substr(task_id_characters + 1)) {
    if (c == '.') return wire::RunRef{*task, run};
    if (c < '0' || c > '9' || run > 10'000) return std::nullopt;
    run = run * 10 + (c - '0');
  }
  return std::nullopt;
}

}  // namespace

double keep_value(double cost_seconds, Duration idle) {
  return cost_seconds / (as_seconds(std::max(idle, Duration(0))) + idle_grace_seconds);
}

double cost_seconds(const ImageEntry& image) {
  if (image.fetch_time > Duration(0)) return as_seconds(image.fetch_time);
  return static_cast<double>(image.bytes) / assumed_fetch_bytes_per_s;
}

/// One at a time: the next one waits for it.
class Garbage::Sweeping {
 public:
  explicit Sweeping(Garbage& garbage) : garbage_(garbage) { garbage_.sweeping_ = true; }
  Sweeping(const Sweeping&) = delete;
  Sweeping& operator=(const Sweeping&) = delete;
  ~Sweeping() {
    garbage_.sweeping_ = false;
    garbage_.swept_.notify_all();
  }

 private:
  Garbage& garbage_;
};

Garbage::Garbage(Env& env, engine::Engine& engine, CacheStore& caches, ImageStore& images, GarbageSettings settings,
                 GarbagePlace place)
    : env_(env),
      engine_(engine),
      caches_(caches),
      images_(images),
      settings_(std::move(settings)),
      place_(std::move(place)),
      disk_(settings_.disk_path.empty() ? place_.data_directory : settings_.disk_path) {
  if (!settings_.free_bytes) settings_.free_bytes = free_on_disk;
}

void Garbage::tell(std::string_view event, json::object fields) const {
  if (settings_.observer) settings_.observer(event, fields);
}

// The disk.

Async<> Garbage::locate_disk(std::string engine_directory) {
  if (!settings_.disk_path.empty() || engine_directory.empty()) co_return;
  bool here = co_await env_.blocking([engine_directory] {
    std::error_code error;
    return std::filesystem::is_directory(engine_directory, error);
  });
  if (here) disk_ = engine_directory;
}

Async<std::int64_t> Garbage::free_bytes() {
  std::optional<std::string> failure;
  try {
    std::int64_t bytes = co_await env_.blocking([probe = settings_.free_bytes, path = disk_] { return probe(path); });
    disk_failure_told_ = false;
    co_return bytes;
  } catch (const Error& error) {
    failure = error.message();
  } catch (const std::filesystem::filesystem_error& error) {
    failure = error.what();
  }
  if (!std::exchange(disk_failure_told_, true)) {
    log_warning("how much is free on the disk of {} cannot be found out, so it is not watched: {}", disk_, *failure);
  }
  co_return -1;
}

std::int64_t Garbage::needed_bytes() const { return settings_.disk_bytes_per_slot * std::max(1, place_.free_slots()); }

Async<int> Garbage::slots_with_room(int slots) {
  if (settings_.disk_bytes_per_slot <= 0) co_return slots;
  std::int64_t free = co_await free_bytes();
  if (free < 0) co_return slots;
  std::int64_t fit = std::max<std::int64_t>(1, free / 2 / settings_.disk_bytes_per_slot);
  if (fit >= slots) co_return slots;
  log_info("{} slots instead of {}, because {} are free on the disk of {}", fit, slots, format_bytes(free), disk_);
  co_return static_cast<int>(fit);
}

void Garbage::set_short(std::int64_t free, std::int64_t needed) {
  bool news = trouble_.empty();
  trouble_ = fmt::format(
      "disk: {:.1f} GB free of {:.1f} GB needed on {}; remove what is not needed there, or start the "
      "agent with fewer slots",
      static_cast<double>(free) / 1e9, static_cast<double>(needed) / 1e9, disk_);
  if (!news) return;
  ++counters_.disk_short;
  log_warning("no tasks are taken: {}", trouble_);
  tell("diskspaceThreshold", {{"path", disk_}, {"freeBytes", free}, {"neededBytes", needed}});
}

void Garbage::set_room() {
  if (trouble_.empty()) return;
  trouble_.clear();
  log_info("tasks are taken again: there is room on the disk");
}

Async<bool> Garbage::room_for_tasks() {
  if (settings_.disk_bytes_per_slot <= 0) co_return true;
  std::int64_t free = co_await free_bytes();
  if (free >= 0 && free < needed_bytes()) {
    while (sweeping_) co_await swept_.wait();
    Sweeping alone(*this);
    co_await make_room();
  } else {
    set_room();
  }
  bool room = trouble_.empty();
  co_return room;
}

std::vector<Garbage::Candidate> Garbage::candidates() {
  std::vector<Candidate> all;
  for (const ImageEntry& image : images_.entries()) {
    if (image.in_use > 0) continue;
    Duration idle = env_.now() - image.last_used;
    all.push_back({Candidate::Kind::image, image.reference, image.source, keep_value(cost_seconds(image), idle), idle});
  }
  for (const CacheStore::Unused& cache : caches_.unused()) {
    Duration idle = env_.now() - cache.used;
    all.push_back({Candidate::Kind::cache, cache.volume, cache.cache, keep_value(assumed_cache_seconds, idle), idle});
  }
  std::ranges::sort(all, [](const Candidate& a, const Candidate& b) {
    return a.value != b.value ? a.value < b.value : a.name < b.name;
  });
  return all;
}

/// Until there is room, or nothing is left to remove.
Async<> Garbage::make_room() {
  std::int64_t free = co_await free_bytes();
  for (const Candidate& candidate : candidates()) {
    if (free < 0 || free >= needed_bytes()) break;
    bool removed = co_await remove(candidate, "for room on the disk");
    if (removed) free = co_await free_bytes();
  }
  std::int64_t needed = needed_bytes();
  if (free >= 0 && free < needed) {
    set_short(free, needed);
  } else {
    set_room();
  }
}

// Removing.

Async<bool> Garbage::remove(Candidate candidate, std::string_view why) {
  std::string reason = fmt::format("{}, unused for {}", why, format_duration(std::max(candidate.idle, Duration(0))));
  if (candidate.kind == Candidate::Kind::image) co_return co_await remove_image(candidate.name, std::move(reason));
  bool gone = co_await caches_.discard(candidate.name);
  if (gone) {
    ++counters_.caches_removed;
    log_info("garbage: cache \"{}\" {} removed {}", candidate.shown, candidate.name, reason);
    tell("cache volume removed", {{"name", candidate.shown}, {"volume", candidate.name}});
  }
  co_return gone;
}

Async<bool> Garbage::remove_image(std::string reference, std::string why) {
  auto refused = refused_images_.find(reference);
  if (refused != refused_images_.end() && env_.uptime() - refused->second < image_refusal_pause) co_return false;
  std::optional<Error> failure;
  bool removed = false;
  try {
    removed = co_await images_.remove_unused(reference);
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) {
    refused_images_.erase(reference);
    if (!removed) co_return false;
    ++counters_.images_removed;
    log_info("garbage: image {} removed {}", reference, why);
    tell("image removed", {{"image", reference}});
    co_return true;
  }
  if (refused_images_.size() >= images_refused_max) refused_images_.clear();
  refused_images_[reference] = env_.uptime();
  if (failure->code() == ErrorCode::conflict) {
    log_debug("garbage: Cannot remove image while it is running: {}", reference);
  } else {
    log_warning("garbage: image {} cannot be removed yet: {}", reference, failure->message());
  }
  co_return false;
}

bool Garbage::may_try(const std::string& what) {
  auto found = failures_.find(what);
  if (found == failures_.end() || found->second.tries < removal_tries_max) return true;
  if (env_.uptime() - found->second.last < settings_.container_expiration) return false;
  failures_.erase(found);
  return true;
}

void Garbage::failed(const std::string& what, const Error& error) {
  if (failures_.size() >= failures_max && !failures_.contains(what)) failures_.erase(failures_.begin());
  Failures& failures = failures_[what];
  failures.last = env_.uptime();
  if (++failures.tries < removal_tries_max) {
    if (failures.tries == 1) log_warning("cannot remove {}: {}", what, error.message());
    return;
  }
  ++counters_.given_up;
  log_warning("cannot remove {}: Retry limit exceeded; it is left alone for {}: {}", what,
              format_duration(settings_.container_expiration), error.message());
}

Async<bool> Garbage::try_to_remove(std::string what, Async<> removal) {
  if (!may_try(what)) co_return false;
  std::optional<Error> failure;
  try {
    co_await std::move(removal);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    failed(what, *failure);
  } else {
    failures_.erase(what);
  }
  co_return !failure;
}

Async<bool> Garbage::remove_container(std::string id) {
  std::string what = "container " + id.substr(0, 12);
  bool gone = co_await try_to_remove(what, engine_.remove_container(id));
  if (!gone) co_return false;
  ++counters_.containers_removed;
  log_debug("garbage: {} removed", what);
  tell("container removed", {{"id", id}});
  co_return true;
}

Async<bool> Garbage::remove_volume(std::string volume) {
  std::string what = "volume " + volume;
  bool gone = co_await try_to_remove(what, engine_.remove_volume(volume));
  if (!gone) co_return false;
  ++counters_.volumes_removed;
  log_info("garbage: {} of no run and no cache removed", what);
  co_return true;
}

// The sweep.

Async<> Garbage::run() {
  for (;;) {
    co_await env_.sleep(settings_.interval);
    while (sweeping_) co_await swept_.wait();
    Sweeping alone(*this);
    std::optional<Error> failure;
    try {
      co_await sweep();
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) log_debug("garbage: {}", failure->message());
  }
}

Async<> Garbage::sweep() {
  GarbageCounters before = counters_;
  tell("garbage collection started");
  images_.save_uses();
  if (place_.free_slots() > 0) co_await remove_expired_images();
  co_await remove_stray_volumes();
  co_await remove_stray_files();
  if (settings_.disk_bytes_per_slot > 0) co_await make_room();
  ++counters_.sweeps;
  tell("garbage collection finished", {{"images", counters_.images_removed - before.images_removed},
                                       {"caches", counters_.caches_removed - before.caches_removed},
                                       {"volumes", counters_.volumes_removed - before.volumes_removed},
                                       {"files", counters_.files_removed - before.files_removed}});
}

Async<> Garbage::remove_expired_images() {
  for (const ImageEntry& image : images_.entries()) {
    Duration idle = env_.now() - image.last_used;
    if (image.in_use > 0 || idle < settings_.image_expiration) continue;
    co_await remove_image(image.reference, fmt::format("unused for {}", format_duration(idle)));
  }
}

/// What is of no run and no cache in two sweeps: one that is being made would be gone by then.
Async<> Garbage::remove_stray_volumes() {
  std::vector<engine::VolumeInfo> volumes;
  std::optional<Error> failure;
  try {
    volumes = co_await engine_.list_volumes(agent_label, place_.agent_id);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    if (failure->code() != ErrorCode::unsupported) log_debug("garbage: {}", failure->message());
    co_return;
  }
  std::set<std::string> strays;
  for (const engine::VolumeInfo& volume : volumes) {
    auto run = run_of_labels(volume.labels);
    if (!volume.labels.contains(cache_label) && (!run || !place_.holds(*run))) strays.insert(volume.name);
  }
  std::set<std::string> seen_before = std::exchange(stray_volumes_, strays);
  for (const std::string& volume : strays) {
    if (seen_before.contains(volume)) co_await remove_volume(volume);
  }
}

bool Garbage::file_is_needed(const std::string& directory, const std::string& name) const {
  if (directory != place_.spool_directory) return images_.is_fetching();
  auto run = run_of_file(name);
  return run && place_.holds(*run);
}

/// Likewise: what was written for a run that ended meanwhile, say.
Async<> Garbage::remove_stray_files() {
  std::set<std::string> strays;
  for (const std::string& directory : {place_.spool_directory, images_.spool_directory()}) {
    std::vector<std::string> names = co_await env_.blocking([directory] { return files_of(directory); });
    for (const std::string& name : names) {
      if (!file_is_needed(directory, name)) strays.insert(fmt::format("{}/{}", directory, name));
    }
  }
  std::set<std::string> seen_before = std::exchange(stray_files_, strays);
  for (const std::string& path : strays) {
    if (!seen_before.contains(path) || !may_try("file " + path)) continue;
    std::error_code error = co_await env_.blocking([path] {
      std::error_code failure;
      std::filesystem::remove(path, failure);
      return failure;
    });
    if (error) {
      failed("file " + path, Error(ErrorCode::unavailable, error.message()));
      continue;
    }
    ++counters_.files_removed;
    log_info("garbage: file {} of no run removed", path);
  }
}

}  // namespace gantry::agent
