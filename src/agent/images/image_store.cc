#include "agent/images/image_store.h"

#include <algorithm>
#include <filesystem>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "agent/images/artifact_source.h"
#include "agent/images/image_job.h"
#include "agent/images/limits.h"
#include "agent/task/one_line.h"
#include "agent/task/scopes.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

using Kind = wire::ImageSource::Kind;

/// Made anew: nothing of another process is taken up.
std::string empty_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  std::filesystem::create_directories(path, error);
  if (error) {
    throw Error(ErrorCode::unavailable, fmt::format("cannot make {}: {}", path, error.message()),
                "check the agent's data directory");
  }
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  return path;
}

/// Whether the engine found it by that name, and not by an id that begins so: ids would lead past who may use what.
bool is_called(const engine::ImageInfo& image, const std::string& reference) {
  auto same = [&](const std::string& name) { return same_image(name, reference); };
  return std::ranges::any_of(image.tags, same) || std::ranges::any_of(image.digests, same);
}

std::string scope_of(const ImageName& name) {
  return fmt::format("docker-worker:image:{}:{}", name.repository, name.tag);
}

std::string shown_time(Duration duration) {
  return fmt::format("{:.1f} s", static_cast<double>(duration.count()) / 1000);
}

}  // namespace

ImageStore::ImageStore(Env& env, engine::Engine& engine, ImageStoreSettings settings)
    : env_(env),
      engine_(engine),
      settings_(std::move(settings)),
      spool_directory_(empty_folder(settings_.directory + "/image-spool")),
      list_(env, settings_.directory + "/images.json"),
      scope_(env.executor(), "images") {}

ImageStore::~ImageStore() = default;

Async<> ImageStore::stop() {
  scope_.cancel();
  co_await scope_.join();
  co_await list_.stop();
}

std::shared_ptr<const ImageUse> ImageStore::used(const std::string& reference) {
  const ImageEntry* entry = list_.find(reference);
  return std::make_shared<const ImageUse>(list_, reference, entry ? entry->id : "", entry ? entry->archive_sha256 : "");
}

Async<ImageStore::Wanted> ImageStore::resolve(RunContext& run) {
  bool of_registry = run.payload.image.kind == Kind::registry || !run.plan.image.empty();
  if (of_registry) co_return co_await resolve_registry(run, run.plan.image);
  co_return co_await resolve_artifact(run);
}

Async<ImageStore::Wanted> ImageStore::resolve_registry(RunContext& run, std::string reference) {
  ImageName name = parse_image_name(reference);
  if (is_task_image_reference(name)) {
    throw Error(ErrorCode::not_authorized,
                fmt::format("Not authorized to use image {}: names like this are those of "
                            "images that tasks made",
                            reference),
                "name the task and the artifact, as an image of type task-image");
  }
  bool has_login = settings_.registries.login_for(name).has_value();
  for (const std::string& mirror : settings_.registries.on_mirrors(name)) {
    has_login = has_login || settings_.registries.login_for(parse_image_name(mirror));
  }
  if (has_login) {
    std::optional<Error> refused;
    try {
      co_await require_scope(run, scope_of(name), "use image " + reference);
    } catch (const Error& error) {
      refused = error;
    }
    if (refused && refused->code() == ErrorCode::not_authorized) {
      throw Error(ErrorCode::not_authorized, "Not authorized to use image " + reference, refused->hint());
    }
    if (refused) throw *refused;
  }
  co_return Wanted{Kind::registry, reference, reference, "", ""};
}

/// Each run asks for itself, also if the image is there: it may be there because another one may have it.
Async<ImageStore::Wanted> ImageStore::resolve_artifact(RunContext& run) {
  const wire::ImageSource& source = run.payload.image;
  Wanted wanted{source.kind, "", source.to_string(), source.task, source.path};
  if (source.kind == Kind::indexed) {
    wanted.task = co_await find_indexed_task(run.server, run.signer, source.index_namespace);
    wanted.shown = fmt::format("{} of task {}", wanted.path, wanted.task);
  }
  wanted.reference = task_image_reference(wanted.task, wanted.path);
  co_await find_artifact(run.server, run.signer, wanted.task, wanted.path);
  co_return wanted;
}

/// Nothing if it is not there. A task's image counts only if it is the one that this agent has loaded.
Async<std::optional<ImageStore::Present>> ImageStore::find(Wanted wanted) {
  bool can_inspect = true;
  std::optional<engine::ImageInfo> image;
  try {
    image = co_await engine_.inspect_image(wanted.reference);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
    can_inspect = false;
  }
  if (!can_inspect) {
    bool there = co_await engine_.has_image(wanted.reference);
    if (!there || wanted.kind != Kind::registry) co_return std::nullopt;
    co_return Present{};
  }
  if (!image || !is_called(*image, wanted.reference)) co_return std::nullopt;
  Present present{image->id, image->digests.empty() ? "" : image->digests.front(), "", image->bytes};
  if (wanted.kind == Kind::registry) co_return present;
  const ImageEntry* entry = list_.find(wanted.reference);
  if (!entry || entry->id != image->id || entry->archive_sha256.empty()) co_return std::nullopt;
  present.archive_sha256 = entry->archive_sha256;
  co_return present;
}

Async<bool> ImageStore::engine_answers() {
  try {
    co_await engine_.probe();
  } catch (const Error&) {
    co_return false;
  }
  co_return true;
}

/// While an image is being removed, nobody begins to use it.
class ImageStore::Leaving {
 public:
  Leaving(ImageStore& store, std::string reference) : store_(store), reference_(std::move(reference)) {
    store_.leaving_.insert(reference_);
  }
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;
  ~Leaving() {
    store_.leaving_.erase(reference_);
    store_.left_.notify_all();
  }

 private:
  ImageStore& store_;
  std::string reference_;
};

Async<bool> ImageStore::remove_unused(std::string reference) {
  bool wanted = list_.in_use(reference) > 0 || jobs_.contains(reference) || leaving_.contains(reference);
  if (wanted || !list_.find(reference)) co_return false;
  Leaving leaving(*this, reference);
  std::optional<engine::ImageInfo> image = co_await engine_.inspect_image(reference);
  const ImageEntry* entry = list_.find(reference);
  bool ours = image && entry && is_called(*image, reference) && image->id == entry->id;
  if (ours) co_await engine_.remove_image(reference);
  list_.remove(reference);
  co_return ours;
}

Async<> ImageStore::await_removal(std::string reference) {
  while (leaving_.contains(reference)) co_await left_.wait();
}

Async<std::shared_ptr<const ImageUse>> ImageStore::ensure(RunContext& run) {
  std::shared_ptr<const ImageUse> held;  // from before it is looked for, so that it is not removed
  std::optional<Wanted> wanted;
  std::optional<Present> present;
  for (int attempt = 1;; ++attempt) {
    std::optional<Error> failure;
    try {
      wanted = co_await resolve(run);
      co_await await_removal(wanted->reference);
      held = used(wanted->reference);
      present = co_await find(*wanted);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) break;
    bool again = may_retry(*failure) && attempt < image_checks_max;
    if (!again || !co_await engine_answers()) throw *failure;
    co_await run.log.line(fmt::format("{}; trying again", one_line(failure->message())));
    co_await env_.sleep(image_retry_delay_min * attempt);
  }
  if (!present) {
    co_await fetch(run, *wanted);
    present = co_await find(*wanted);
    if (!present) {
      throw Error(ErrorCode::unavailable, fmt::format("image {} was there and is gone again", wanted->shown));
    }
  }
  auto use = std::make_shared<const ImageUse>(list_, wanted->reference, present->id, present->archive_sha256);
  if (!present->id.empty()) {
    co_await run.log.line(fmt::format("Image '{}' is {}{}", one_line(wanted->shown), present->id,
                                      present->digest.empty() ? "" : fmt::format(" ({})", present->digest)));
  }
  co_return use;
}

/// Has it fetched, or waits until it has been.
Async<> ImageStore::fetch(RunContext& run, Wanted wanted) {
  for (;;) {
    auto known = jobs_.find(wanted.reference);
    if (known != jobs_.end() && known->second->abandoned) {
      JobPointer old = known->second;
      while (!old->ended) co_await old->done.wait();
      continue;
    }
    JobPointer job;
    std::string line = fmt::format("{} image {}", wanted.kind == Kind::registry ? "Pulling" : "Loading", wanted.shown);
    bool is_new = known == jobs_.end();
    if (is_new) {
      job = std::make_shared<Job>(env_, wanted);
      jobs_[wanted.reference] = job;
    } else {
      job = known->second;
      line += ", which another task waits for already";
    }
    Waiter waiter(job, run);
    if (is_new) scope_.spawn("image " + wanted.reference, run_job(job));  // it may begin at once
    co_await follow(job, run, std::move(line));
    if (job->failure) throw *job->failure;
    co_return;
  }
}

/// Until the job has ended; tells the run's log how it goes.
Async<> ImageStore::follow(JobPointer job, RunContext& run, std::string first_line) {
  co_await run.log.line(one_line(first_line));
  std::size_t notes = 0;
  std::string said;
  while (true) {
    bool ended = job->ended || co_await job->done.wait_for(env_, image_progress_interval);
    for (; notes < job->notes.size(); ++notes) co_await run.log.line(one_line(job->notes[notes]));
    if (ended) break;
    std::string line = job->progress.empty() ? "" : fmt::format("{}: {}", first_line, job->progress);
    if (line == said) continue;
    said = line;
    if (!line.empty()) co_await run.log.line(one_line(std::move(line)));
  }
}

Async<> ImageStore::run_job(JobPointer job) {
  std::exception_ptr failure;
  try {
    co_await try_job(job);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure && is_cancelled(failure)) {
    job->failure = Error(ErrorCode::cancelled, fmt::format("image {} is no longer wanted", job->wanted.shown));
  } else if (failure) {
    job->failure = error_of(failure);
  }
  job->ended = true;
  jobs_.erase(job->wanted.reference);
  job->done.notify_all();
}

/// One that is cancelled here has been abandoned, or the store stops.
Async<> ImageStore::try_job(JobPointer job) {
  co_await await_turn(job);
  struct Turn {
    ImageStore& store;
    explicit Turn(ImageStore& s) : store(s) { ++store.running_; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      --store.running_;
      store.turn_.notify_all();
    }
  } turn(*this);
  job->began = env_.uptime();
  job->until = job->began + image_time_max;
  Duration delay = image_retry_delay_min;
  int stalls = 0;
  for (int tries = 1;; ++tries) {
    std::optional<Error> failure;
    try {
      co_await attempt(job);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) break;
    bool stalled = failure->code() == ErrorCode::deadline_exceeded;
    stalls += stalled ? 1 : 0;
    bool in_time = env_.uptime() + delay < job->until;
    bool again = may_retry(*failure) && tries < image_tries_max && stalls < image_stalls_max && in_time;
    if (!again || !co_await engine_answers()) throw *failure;
    job->notes.push_back(fmt::format("{}; trying again", failure->message()));
    co_await back_off(job, delay);
    delay = std::min(delay * 2, image_retry_delay_max);
  }
}

Async<> ImageStore::await_turn(JobPointer job) {
  bool told = false;
  while (running_ >= images_at_once_max && !job->abandoned) {
    if (!told) job->notes.push_back(fmt::format("Waiting for its turn: {} other images are on their way", running_));
    told = true;
    // The event is everybody's: whether this one has been abandoned is looked at now and then.
    co_await turn_.wait_for(env_, seconds(1));
  }
  if (job->abandoned) throw Error(ErrorCode::cancelled, "nobody waits for it");
}

Async<> ImageStore::back_off(JobPointer job, Duration delay) {
  Duration until = env_.uptime() + delay;
  while (env_.uptime() < until && !job->abandoned) co_await job->news.wait_for(env_, until - env_.uptime());
  if (job->abandoned) throw Error(ErrorCode::cancelled, "nobody waits for it");
}

/// One try, which ends when it is done, when nobody waits any more, or when it takes too long.
Async<> ImageStore::attempt(JobPointer job) {
  Scope work(env_.executor(), "image " + job->wanted.reference);
  job->progress.clear();
  job->moved = env_.uptime();
  job->moves_unseen = false;
  job->attempting = true;
  job->attempt_failure = nullptr;
  work.spawn("attempt", attempt_to_end(job));
  std::exception_ptr stopped;
  std::optional<Error> gave_up;
  try {
    while (job->attempting && !gave_up) {
      Duration now = env_.uptime();
      Duration stalled_at = job->moves_unseen ? job->until : job->moved + image_stall_max;
      if (job->abandoned) {
        gave_up = Error(ErrorCode::cancelled, "nobody waits for it");
      } else if (now >= job->until) {
        gave_up = Error(ErrorCode::deadline_exceeded,
                        fmt::format("image {}: not there after {}", job->wanted.shown, shown_time(image_time_max)),
                        "a smaller image, or a registry nearer to this node");
      } else if (now >= stalled_at) {
        gave_up = Error(ErrorCode::deadline_exceeded,
                        fmt::format("image {}: no progress for {}", job->wanted.shown, shown_time(image_stall_max)),
                        "look whether this node reaches where the image comes from");
      } else {
        co_await job->news.wait_for(env_, std::min(stalled_at, job->until) - now);
      }
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  if (stopped) co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  work.cancel();
  co_await work.join();
  if (stopped) std::rethrow_exception(stopped);
  if (gave_up) throw *gave_up;
  if (job->attempt_failure) std::rethrow_exception(std::exchange(job->attempt_failure, nullptr));
}

Async<> ImageStore::attempt_to_end(JobPointer job) {
  try {
    co_await get(job);
  } catch (...) {
    job->attempt_failure = std::current_exception();
  }
  job->attempting = false;
  job->news.notify_all();
}

Async<> ImageStore::get(JobPointer job) {
  auto present = co_await find(job->wanted);  // since the waiters looked, another job may have brought it
  if (present) co_return;
  co_await (job->wanted.kind == Kind::registry ? pull(job) : load(job));
}

/// What there is now becomes an entry of the list, and the last line.
Async<> ImageStore::record(JobPointer job, std::string archive_sha256) {
  ImageEntry entry;
  entry.reference = job->wanted.reference;
  entry.source = job->wanted.shown;
  entry.archive_sha256 = std::move(archive_sha256);
  entry.acquired = entry.last_used = env_.now();
  entry.fetch_time = env_.uptime() - job->began;
  std::optional<Error> failure;
  try {
    if (auto image = co_await engine_.inspect_image(job->wanted.reference)) {
      entry.id = image->id;
      entry.bytes = image->bytes;
      if (!image->digests.empty()) entry.digest = image->digests.front();
    }
  } catch (const Error& error) {
    failure = error;
  }
  if (failure && failure->code() != ErrorCode::unsupported) throw *failure;
  std::string size = entry.bytes > 0 ? fmt::format("{:.1f} MB ", static_cast<double>(entry.bytes) / 1e6) : "";
  bool pulled = job->wanted.kind == Kind::registry;
  job->notes.push_back(fmt::format("{} image {}: {}in {}", pulled ? "Pulled" : "Loaded", job->wanted.shown, size,
                                   shown_time(env_.uptime() - job->began)));
  log_info("{}", job->notes.back());
  list_.add(std::move(entry));
}

}  // namespace gantry::agent
