#include "agent/caches.h"

#include <algorithm>
#include <mutex>
#include <sstream>
#include <tuple>

#include <fmt/format.h>

#include "agent/task/container_spec.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "wire/payload.h"
#include "wire/task_definition.h"

namespace gantry::agent {
namespace {

json::object run_fields(wire::RunRef run, const std::string& cache) {
  return {{"name", cache}, {"taskId", run.task.to_string()}, {"runId", run.run}};
}

constexpr Duration end_soon_max = seconds(5);  // that a task waits for an instance whose container has ended
constexpr Duration check_timeout = seconds(10);
/// More than the server lets clocks differ by.
constexpr Duration check_margin = minutes(20);
constexpr Duration check_interval = hours(1);  // an idle agent still learns of requests before they expire
constexpr std::size_t file_bytes_max = 1u << 20;

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string label_of(const std::map<std::string, std::string>& labels, const char* label) {
  auto found = labels.find(label);
  return found == labels.end() ? std::string() : found->second;
}

/// Labels can be written by others.
bool is_cache_name(const std::string& name) {
  return !name.empty() && name.size() <= wire::cache_name_characters_max && is_printable_ascii(name);
}

std::string milliseconds_of(Time time) { return std::to_string(time.time_since_epoch().count()); }

}  // namespace

/// Written by one piece of work at a time; what is older than what stands there is not written any more.
struct CacheStore::File {
  std::string path;
  std::mutex mutex;
  std::uint64_t written = 0;
  std::uint64_t last = 0;  // io_context thread only

  void write(std::uint64_t number, const std::string& text) {
    std::lock_guard lock(mutex);
    if (number < written) return;
    write_private_file(path, text);
    written = number;
  }
};

/// While somebody asks the server, nobody else does.
class CacheStore::Asking {
 public:
  explicit Asking(CacheStore& store) : store_(store) {
    store_.asking_ = true;
    ++store_.checks_begun_;
  }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  ~Asking() {
    store_.asking_ = false;
    store_.asked_.notify_all();
  }

 private:
  CacheStore& store_;
};

CacheStore::CacheStore(Env& env, engine::Engine& engine, ServerApi& server, CacheSettings settings)
    : env_(env), engine_(engine), server_(server), settings_(std::move(settings)), file_(std::make_shared<File>()) {
  file_->path = settings_.file;
}

// What there is.

std::optional<CacheStore::Instance> CacheStore::read_volume(const engine::VolumeInfo& volume) const {
  Instance instance;
  instance.volume = volume.name;
  instance.task_queue = label_of(volume.labels, cache_queue_label);
  instance.cache = label_of(volume.labels, cache_label);
  if (!is_cache_name(instance.cache) || !wire::is_task_queue_id(instance.task_queue)) return std::nullopt;
  std::string made = label_of(volume.labels, cache_made_label);
  instance.made = std::clamp(Time(milliseconds(std::strtoll(made.c_str(), nullptr, 10))), Time(), env_.now());
  instance.used = instance.made;
  return instance;
}

Async<> CacheStore::restore(std::vector<engine::ContainerSummary> containers) {
  std::vector<engine::VolumeInfo> volumes;
  try {
    volumes = co_await engine_.list_volumes(agent_label, settings_.agent_id);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
  }
  instances_.clear();
  for (const engine::VolumeInfo& volume : volumes) {
    if (auto instance = read_volume(volume)) instances_.emplace(volume.name, std::move(*instance));
  }
  used_ = !instances_.empty();
  for (const engine::ContainerSummary& container : containers) take_up_holders(container);
  co_await recall();
}

void CacheStore::take_up_holders(const engine::ContainerSummary& container) {
  auto run = run_of_labels(container.labels);
  if (!run) return;
  std::istringstream volumes(label_of(container.labels, held_caches_label));
  for (std::string volume; volumes >> volume;) {
    auto found = instances_.find(volume);
    if (found != instances_.end()) found->second.holders.insert(*run);
  }
}

/// What an engine that broke off has made, or lost, or somebody has removed.
Async<> CacheStore::compare_with_engine() {
  std::map<std::string, std::uint64_t> idle;  // with how often each had been used
  for (const auto& [volume, instance] : instances_) {
    if (instance.holders.empty() && !instance.being_removed) idle[volume] = instance.uses;
  }
  std::uint64_t removals = removals_;
  auto volumes = co_await engine_.list_volumes(agent_label, settings_.agent_id);
  std::set<std::string> there;
  for (const engine::VolumeInfo& volume : volumes) {
    there.insert(volume.name);
    // One that was removed while the engine told us is not there any more.
    if (instances_.contains(volume.name) || removals != removals_) continue;
    if (auto instance = read_volume(volume)) instances_.emplace(volume.name, std::move(*instance));
  }
  for (const auto& [volume, uses] : idle) {
    auto found = instances_.find(volume);
    bool untouched = found != instances_.end() && found->second.holders.empty() && !found->second.being_removed &&
                     found->second.uses == uses;
    if (untouched && !there.contains(volume)) instances_.erase(found);
  }
}

// Purging.

Async<> CacheStore::check_purges(Signer signer) {
  if (instances_.empty()) co_return;  // what is made from now on is younger than every request
  std::uint64_t wanted = checks_begun_ + 1;
  while (checks_done_ < wanted) {
    if (asking_) {
      co_await asked_.wait();
      continue;
    }
    Asking asking(*this);
    std::uint64_t number = checks_begun_;
    co_await ask_for_purges(signer);
    checks_done_ = number;
  }
  if (unsaved_) co_await remember();
  co_await remove_condemned();
}

Async<> CacheStore::ask_for_purges(Signer signer) {
  std::string target = "/api/purge-cache/v1/purge-cache/" + settings_.task_queue;
  if (last_check_) target += "?since=" + format_time(*last_check_ - check_margin);
  Time began = env_.now();
  asked_at_ = env_.uptime();
  std::optional<Error> failure;
  try {
    std::string answer =
        co_await server_.call(std::move(signer), net::Method::get, std::move(target), "", "", check_timeout);
    json::value document = value_or_throw(parse_json(answer));
    const json::object* object = document.if_object();
    const json::value* requests = object ? object->if_contains("requests") : nullptr;
    if (!requests || !requests->is_array()) {
      throw Error(ErrorCode::invalid_input, "the server's answer has no requests");
    }
    for (const json::value& request : requests->get_array()) take_purge_request(request);
    last_check_ = began;
    check_failure_told_ = false;
  } catch (const Error& error) {
    failure = error;
  }
  if (failure && !std::exchange(check_failure_told_, true)) {
    log_warning("whether caches are to be purged cannot be found out; they are used as they are: {}",
                failure->message());
  }
}

void CacheStore::take_purge_request(const json::value& request) {
  const json::object* object = request.if_object();
  if (!object) return;
  std::string queue = fmt::format("{}/{}", text_at(*object, "provisionerId"), text_at(*object, "workerType"));
  std::string cache = text_at(*object, "cacheName");
  auto before = parse_time(text_at(*object, "before"));
  if (!before || queue != settings_.task_queue) return;
  for (auto& [volume, instance] : instances_) {
    bool meant = instance.cache == cache && instance.task_queue == queue && instance.made < *before;
    if (!meant || instance.condemned) continue;
    log_info("cache volume purge: \"{}\" {}, as was asked at {}", cache, volume, format_time(*before));
    instance.condemned = true;
    unsaved_ = true;
  }
}

Async<> CacheStore::condemn(wire::RunRef run) {
  for (auto& [volume, instance] : instances_) {
    if (!instance.holders.contains(run) || instance.condemned) continue;
    log_info("cache volume purge: \"{}\" {}, by the exit code of task {}", instance.cache, volume,
             run.task.to_string());
    instance.condemned = true;
    unsaved_ = true;
  }
  if (unsaved_) co_await remember();
}

Async<> CacheStore::remove_condemned() {
  std::set<std::string> tried;
  for (;;) {
    auto next = std::ranges::find_if(instances_, [&](const auto& entry) {
      const Instance& instance = entry.second;
      return instance.condemned && instance.holders.empty() && !instance.being_removed && !tried.contains(entry.first);
    });
    if (next == instances_.end()) co_return;
    std::string volume = next->first;
    tried.insert(volume);
    Instance& instance = next->second;  // stays while it is being removed
    instance.being_removed = true;
    std::exception_ptr failure;
    try {
      co_await engine_.remove_volume(volume);
    } catch (...) {
      failure = std::current_exception();
    }
    instance.being_removed = false;
    if (!failure) {
      log_info("cache volume removed: \"{}\" {}", instance.cache, volume);
      ++removals_;
      instances_.erase(volume);
      continue;
    }
    if (is_cancelled(failure)) std::rethrow_exception(failure);
    if (!std::exchange(instance.removal_failed, true)) {
      log_warning("cache volume {} cannot be removed yet: {}", volume, error_of(failure).message());
    }
  }
}

std::vector<CacheStore::Unused> CacheStore::unused() const {
  std::vector<Unused> all;
  for (const auto& [volume, instance] : instances_) {
    bool may_go = instance.holders.empty() && !instance.condemned && !instance.being_removed;
    if (may_go) all.push_back({volume, instance.cache, instance.used});
  }
  return all;
}

Async<bool> CacheStore::discard(std::string volume) {
  auto found = instances_.find(volume);
  if (found == instances_.end() || !found->second.holders.empty()) co_return false;
  found->second.condemned = true;
  co_await remember();
  co_await remove_condemned();
  co_return !instances_.contains(volume);
}

// Holding.

CacheStore::Instance* CacheStore::held_by(wire::RunRef run, const std::string& cache) {
  auto found = std::ranges::find_if(
      instances_, [&](const auto& entry) { return entry.second.cache == cache && entry.second.holders.contains(run); });
  return found == instances_.end() ? nullptr : &found->second;
}

CacheStore::Instance* CacheStore::last_used_free(const std::string& cache) {
  Instance* best = nullptr;
  for (auto& [volume, instance] : instances_) {
    bool fits = instance.cache == cache && instance.task_queue == settings_.task_queue && instance.holders.empty() &&
                !instance.condemned;
    if (!fits) continue;
    if (!best || std::tie(instance.used, instance.uses) > std::tie(best->used, best->uses)) best = &instance;
  }
  return best;
}

bool CacheStore::one_ends_soon(const std::string& cache) const {
  return std::ranges::any_of(instances_, [&](const auto& entry) {
    const Instance& instance = entry.second;
    bool fits = instance.cache == cache && instance.task_queue == settings_.task_queue && !instance.condemned;
    return fits && instance.holders.size() == 1 && ending_.contains(*instance.holders.begin());
  });
}

CacheStore::Instance& CacheStore::add_instance(const std::string& cache) {
  Instance instance;
  instance.volume = "gantry-cache-" + NodeId::random(env_).to_string();
  instance.task_queue = settings_.task_queue;
  instance.cache = cache;
  instance.made = server_.now();  // the server's requests to purge are compared with it
  used_ = true;
  std::string volume = instance.volume;
  return instances_.emplace(std::move(volume), std::move(instance)).first->second;
}

void CacheStore::hold(Instance& instance, wire::RunRef run) {
  instance.holders.insert(run);
  instance.used = env_.now();
  instance.uses = ++uses_;
  unsaved_ = true;
}

void CacheStore::let_go(Instance& instance, wire::RunRef run) {
  instance.holders.erase(run);
  instance.used = env_.now();
  unsaved_ = true;  // upkeep writes it down
  freed_.notify_all();
}

Async<std::string> CacheStore::acquire(wire::RunRef run, std::string cache) {
  leftovers_.erase(run);
  if (Instance* own = held_by(run, cache)) co_return own->volume;
  Duration until = env_.uptime() + end_soon_max;
  Instance* instance = last_used_free(cache);
  while (!instance && one_ends_soon(cache) && env_.uptime() < until) {
    co_await freed_.wait_for(env_, until - env_.uptime());
    instance = last_used_free(cache);
  }
  bool fresh = !instance;
  if (fresh) {
    log_debug("cache volume miss: \"{}\" for task {}", cache, run.task.to_string());
    tell(settings_.observer, "cache volume miss", run_fields(run, cache));
    instance = &add_instance(cache);
  } else {
    tell(settings_.observer, "cache volume hit", run_fields(run, cache));
    log_debug("cache volume hit: \"{}\" {} for task {}", cache, instance->volume, run.task.to_string());
  }
  hold(*instance, run);
  if (fresh) make_room(cache);
  co_return co_await ensure_volume(instance->volume, run, fresh);
}

/// Also of one that was there: without its labels nobody would ever find it again.
Async<std::string> CacheStore::ensure_volume(std::string volume, wire::RunRef run, bool fresh) {
  Instance& instance = instances_.at(volume);  // stays while it is held
  std::map<std::string, std::string> labels{{agent_label, settings_.agent_id},
                                            {cache_label, instance.cache},
                                            {cache_queue_label, instance.task_queue},
                                            {cache_made_label, milliseconds_of(instance.made)}};
  std::exception_ptr failure;
  try {
    co_await engine_.create_volume(volume, std::move(labels));
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) {
    if (fresh) {
      log_info("cache volume created: \"{}\" {}", instance.cache, volume);
      tell(settings_.observer, "cache volume created", run_fields(run, instance.cache));
    }
    co_return volume;
  }
  let_go(instance, run);
  if (fresh) instances_.erase(volume);  // if the engine made it after all, upkeep finds it
  std::rethrow_exception(failure);
}

void CacheStore::end_soon(wire::RunRef run) { ending_.insert(run); }

Async<> CacheStore::release(wire::RunRef run) {
  leftovers_.erase(run);
  ending_.erase(run);
  std::vector<std::string> caches;
  for (auto& [volume, instance] : instances_) {
    if (!instance.holders.contains(run)) continue;
    log_debug("cache volume release: \"{}\" {} by task {}", instance.cache, volume, run.task.to_string());
    let_go(instance, run);
    caches.push_back(instance.cache);
  }
  for (const std::string& cache : caches) make_room(cache);
  co_await remove_condemned();
}

void CacheStore::leave(wire::RunRef run) {
  ending_.erase(run);
  freed_.notify_all();
  leftovers_[run] = ++last_leftover_;
}

Async<> CacheStore::release_leftovers(Leftovers seen, std::set<wire::RunRef> still_there) {
  for (const auto& [run, number] : seen) {
    auto left = leftovers_.find(run);
    bool same = left != leftovers_.end() && left->second == number;
    if (same && !still_there.contains(run)) co_await release(run);
  }
}

/// Condemns what is too much: of the cache, then of all.
void CacheStore::make_room(const std::string& cache) {
  auto shrink = [this](std::size_t count_max, auto counts) {
    std::vector<Instance*> free;
    std::size_t count = 0;
    for (auto& [volume, instance] : instances_) {
      if (instance.condemned || !counts(instance)) continue;
      ++count;
      if (instance.holders.empty()) free.push_back(&instance);
    }
    std::ranges::sort(free, {}, [](const Instance* instance) { return std::tie(instance->used, instance->uses); });
    for (Instance* instance : free) {
      if (count <= count_max) return;
      log_info("cache volume purge: \"{}\" {}, the one of too many that was used longest ago", instance->cache,
               instance->volume);
      instance->condemned = true;
      unsaved_ = true;
      --count;
    }
  };
  shrink(instances_per_cache_max, [&](const Instance& instance) {
    return instance.cache == cache && instance.task_queue == settings_.task_queue;
  });
  shrink(instances_max, [](const Instance&) { return true; });
}

Async<> CacheStore::upkeep(Signer signer) {
  if (!used_) co_return;
  std::optional<Error> failure;
  try {
    co_await remove_condemned();
    co_await compare_with_engine();
    if (!asked_at_ || env_.uptime() - *asked_at_ >= check_interval) co_await check_purges(std::move(signer));
    if (unsaved_) co_await remember();
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) log_debug("upkeep of caches: {}", failure->message());
}

// The file.

Async<> CacheStore::recall() {
  std::optional<Error> failure;
  try {
    std::string text = co_await env_.blocking([file = file_] { return read_text_file(file->path, file_bytes_max); });
    json::value document = value_or_throw(parse_json(text));
    const json::object* volumes = document.if_object();
    if (!volumes) throw Error(ErrorCode::invalid_input, "it is no JSON object");
    for (const auto& member : *volumes) {
      auto found = instances_.find(std::string(member.key()));
      const json::object* known = member.value().if_object();
      if (found == instances_.end() || !known) continue;
      if (auto used = parse_time(text_at(*known, "used"))) found->second.used = *used;
      found->second.condemned = known->contains("condemned");
    }
  } catch (const Error& error) {
    failure = error;
  }
  if (failure && failure->code() != ErrorCode::not_found) {
    log_warning("{} cannot be read, so caches count as used when they were made: {}", file_->path, failure->message());
  }
}

Async<> CacheStore::remember() {
  unsaved_ = false;
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  for (const auto& [volume, instance] : instances_) {
    out.key(volume).begin_object().field("used", instance.used);
    if (instance.condemned) out.field("condemned", true);
    out.end_object();
  }
  out.end_object();
  text += "\n";
  std::optional<Error> failure;
  try {
    std::uint64_t number = ++file_->last;
    co_await env_.blocking([file = file_, number, text = std::move(text)] { file->write(number, text); });
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) log_warning("when caches were used cannot be written down: {}", failure->message());
}

std::vector<wire::CacheSummary> CacheStore::summary() const {
  std::map<std::pair<std::string, std::string>, wire::CacheSummary> caches;
  for (const auto& [volume, instance] : instances_) {
    if (instance.condemned) continue;
    wire::CacheSummary& cache = caches[{instance.task_queue, instance.cache}];
    cache.task_queue = instance.task_queue;
    cache.name = instance.cache;
    ++cache.instances;
    if (!instance.holders.empty()) ++cache.in_use;
    cache.last_used = std::max(cache.last_used, instance.used);
  }
  std::vector<wire::CacheSummary> all;
  for (auto& [key, cache] : caches) all.push_back(std::move(cache));
  std::ranges::sort(all, [](const wire::CacheSummary& a, const wire::CacheSummary& b) {
    return a.last_used != b.last_used ? a.last_used > b.last_used : a.name < b.name;
  });
  if (all.size() > wire::caches_told_max) all.resize(wire::caches_told_max);
  return all;
}

}  // namespace gantry::agent
