#include "sim/sim_machine.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/task/container_spec.h"

namespace gantry::sim {
namespace {

constexpr std::int64_t ms_us = 1'000;
constexpr std::int64_t death_us_max = 40 * ms_us;          // from a signal to the end
constexpr std::int64_t term_us_max = 300 * ms_us;          // of a container that heeds SIGTERM
constexpr std::int64_t term_patience_us = 10'000 * ms_us;  // of an engine that stops, with those that do not
constexpr std::int64_t image_bytes = 50 << 20;
constexpr int killed_code = 137;
constexpr int terminated_code = 143;

wire::RunRef run_of(const std::map<std::string, std::string>& labels) {
  auto task = TaskId::parse(labels.at(agent::task_label));
  return {task.value(), std::stoi(labels.at(agent::run_label))};
}

}  // namespace

std::string image_id_of(std::string_view content) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a: the same on every run
  for (char c : content) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return fmt::format("sha256:{:064x}", hash);
}

SimMachine::SimMachine(VirtualClock& clock, std::uint64_t seed, std::string name, std::int64_t memory_bytes,
                       Faults& faults, Trace& trace, ContainerFacts& facts, std::function<void(std::string)> fail)
    : clock_(clock),
      seed_(seed),
      name_(std::move(name)),
      memory_bytes_(memory_bytes),
      faults_(faults),
      trace_(trace),
      facts_(facts),
      fail_(std::move(fail)),
      env_(clock, seed, "machine " + name_) {}

void SimMachine::event(std::string_view kind, const SimContainer& container, int number) {
  if (trace_.prints()) {
    trace_.event(clock_.now_us(), kind, name_ + " " + container.name, static_cast<std::uint64_t>(number));
    return;
  }
  trace_.event(clock_.now_us(), kind, container.name, static_cast<std::uint64_t>(number));
}

std::string SimMachine::create(const engine::ContainerSpec& spec) {
  const engine::ImageInfo* image = find_image(spec.image);
  if (!image) throw Error(ErrorCode::not_found, "No such image: " + spec.image);
  for (const auto& [id, container] : containers_) {
    if (container->name != spec.name) continue;
    throw Error(ErrorCode::conflict, fmt::format("The container name \"{}\" is already in use", spec.name));
  }
  auto container = std::make_shared<SimContainer>();
  container->id = fmt::format("{}-{}", name_, ++last_id_);
  container->name = spec.name;
  container->labels = spec.labels;
  container->serves = !spec.labels.contains(agent::task_label);
  if (!container->serves) {
    container->run = run_of(spec.labels);
    container->plan = plan_container(seed_, container->run);
  }
  container->image_id = image->id;
  container->created = env_.now();
  for (const engine::Mount& mount : spec.mounts) {
    if (mount.type != engine::Mount::Type::volume) continue;
    create_volume(mount.source, {});
    container->volumes.insert(mount.source);
  }
  containers_[container->id] = container;
  event("create", *container);
  return container->id;
}

ContainerPointer SimMachine::find(const std::string& id) const {
  if (auto found = containers_.find(id); found != containers_.end()) return found->second;
  for (const auto& [other, container] : containers_) {
    if (container->name == id) return container;
  }
  throw Error(ErrorCode::not_found, "No such container: " + id);
}

/// No agent may let two containers that run have one volume.
void SimMachine::expect_volumes_unused(const SimContainer& container) const {
  for (const auto& [id, other] : containers_) {
    if (other->state != SimContainer::State::running) continue;
    for (const std::string& volume : container.volumes) {
      if (!other->volumes.contains(volume)) continue;
      fail_(
          fmt::format("{} is started on {} with volume {}, which {} has", container.name, name_, volume, other->name));
    }
  }
}

void SimMachine::start(const std::string& id) {
  ContainerPointer container = find(id);
  if (container->state != SimContainer::State::created) return;
  expect_volumes_unused(*container);
  container->state = SimContainer::State::running;
  container->started = env_.now();
  event("run", *container);
  if (container->serves) return;
  ContainerFact& fact = facts_[container->run];
  if (++fact.starts > 1) fail_(fmt::format("{} is started on {} and was on {}", container->name, name_, fact.machine));
  fact.machine = name_;
  fact.started_us = clock_.now_us();
  fact.has_files = container->plan.has_files;
  run_on(container, 0);
}

/// Writes what is due, and comes back for what follows.
void SimMachine::run_on(ContainerPointer container, std::size_t next_output) {
  if (container->state != SimContainer::State::running) return;
  const ContainerPlan& plan = container->plan;
  std::int64_t since_us = facts_[container->run].started_us;
  std::int64_t ran_us = clock_.now_us() - since_us;
  for (; next_output < plan.output.size() && plan.output[next_output].at_us <= ran_us; ++next_output) {
    write(*container, plan.output[next_output]);
  }
  if (ran_us >= plan.length_us) {
    container->out_of_memory = plan.out_of_memory;
    end(*container, EndedBy::itself, plan.exit_code);
    return;
  }
  std::int64_t next_us = next_output < plan.output.size() ? plan.output[next_output].at_us : plan.length_us;
  env_.call_after_us(next_us - ran_us, [this, container, next_output] { run_on(container, next_output); });
}

void SimMachine::write(SimContainer& container, const OutputPlan& piece) {
  std::int64_t& produced = facts_[container.run].produced[static_cast<std::size_t>(piece.stream)];
  container.output.push_back({piece.stream, output_bytes(container.run, piece.stream, produced, piece.bytes)});
  produced += piece.bytes;
  container.news.notify_all();
}

void SimMachine::end(SimContainer& container, EndedBy by, int exit_code) {
  if (container.state != SimContainer::State::running) return;
  container.state = SimContainer::State::exited;
  container.finished = env_.now();
  container.exit_code = exit_code;
  if (!container.serves) {
    ContainerFact& fact = facts_[container.run];
    fact.ended_us = clock_.now_us();
    fact.ended_by = by;
    fact.exit_code = exit_code;
    fact.out_of_memory = container.out_of_memory;
  }
  event("exit", container, exit_code);
  container.news.notify_all();
}

void SimMachine::end_later(ContainerPointer container, EndedBy by, int exit_code, std::int64_t delay_us) {
  env_.call_after_us(delay_us, [this, container, by, exit_code] { end(*container, by, exit_code); });
}

void SimMachine::kill(const std::string& id) {
  end_later(find(id), EndedBy::kill, killed_code, env_.random_source().between(std::int64_t{1}, death_us_max));
}

void SimMachine::remove(const std::string& id) {
  ContainerPointer container = find(id);
  end(*container, EndedBy::kill, killed_code);
  event("remove", *container);
  container->state = SimContainer::State::removed;
  container->news.notify_all();
  containers_.erase(container->id);
}

const engine::ImageInfo* SimMachine::find_image(const std::string& image) const {
  if (auto found = images_.find(image); found != images_.end()) return &found->second;
  for (const auto& [id, info] : images_) {
    if (std::ranges::find(info.tags, image) != info.tags.end()) return &info;
  }
  return nullptr;
}

void SimMachine::add_image(const std::string& reference) { add_image(image_id_of(reference), {reference}); }

void SimMachine::add_image(const std::string& id, const std::vector<std::string>& references) {
  auto [image, added] = images_.try_emplace(id);
  if (added) {
    image->second.id = id;
    image->second.bytes = image_bytes;
    image->second.created = env_.now();
  }
  for (const std::string& reference : references) tag_image(id, reference);
}

void SimMachine::tag_image(const std::string& image, const std::string& reference) {
  const engine::ImageInfo* found = find_image(image);
  if (!found) throw Error(ErrorCode::not_found, "No such image: " + image);
  std::string id = found->id;
  for (auto& [other, info] : images_) std::erase(info.tags, reference);
  images_[id].tags.push_back(reference);
}

void SimMachine::remove_image(const std::string& image) {
  const engine::ImageInfo* found = find_image(image);
  if (!found) return;
  std::string id = found->id;
  bool by_id = image == id;
  if (!by_id && found->tags.size() > 1) {
    std::erase(images_[id].tags, image);
    return;
  }
  for (const auto& [other, container] : containers_) {
    if (container->image_id != id) continue;
    throw Error(ErrorCode::conflict, fmt::format("conflict: container {} is using image {}", container->id, image));
  }
  images_.erase(id);
}

std::string SimMachine::commit(const std::string& id, const std::string& reference) {
  std::string image = image_id_of(fmt::format("{} at {}", find(id)->id, clock_.now_us()));
  add_image(image, {reference});
  return image;
}

void SimMachine::create_volume(const std::string& name, const std::map<std::string, std::string>& labels) {
  volumes_.try_emplace(name, engine::VolumeInfo{name, labels, env_.now()});
}

void SimMachine::remove_volume(const std::string& name) {
  for (const auto& [id, container] : containers_) {
    if (!container->volumes.contains(name)) continue;
    throw Error(ErrorCode::conflict, fmt::format("volume {} is in use by container {}", name, id));
  }
  volumes_.erase(name);
}

void SimMachine::restart_engine(EngineRestart how, Duration down) {
  if (daemon_ != Daemon::up) return;
  trace_.event(clock_.now_us(), "engine ends", name_, static_cast<std::uint64_t>(how));
  if (how != EngineRestart::stopped) return go_away(down, how == EngineRestart::killed);
  daemon_ = Daemon::stopping;
  Random& random = env_.random_source();
  std::int64_t last_us = 0;
  for (const auto& [id, container] : containers_) {
    if (container->state != SimContainer::State::running) continue;
    bool heeds = !container->plan.ignores_term;
    std::int64_t dies_us = heeds ? random.between(ms_us, term_us_max) : term_patience_us;
    end_later(container, EndedBy::engine, heeds ? terminated_code : killed_code, dies_us);
    last_us = std::max(last_us, dies_us);
  }
  env_.call_after_us(last_us + random.between(ms_us, 100 * ms_us), [this, down, stopping = life_] {
    if (daemon_ == Daemon::stopping && life_ == stopping) go_away(down, false);
  });
}

void SimMachine::go_away(Duration down, bool kills) {
  daemon_ = Daemon::down;
  kills_at_return_ = kills;
  ++life_;
  for (const auto& [id, container] : containers_) container->news.notify_all();
  env_.call_after(down, [this, gone = life_] {
    if (life_ == gone) come_back();
  });
}

void SimMachine::come_back() {
  if (daemon_ == Daemon::up) return;
  trace_.event(clock_.now_us(), "engine back", name_);
  if (daemon_ == Daemon::stopping) ++life_;
  daemon_ = Daemon::up;
  for (const auto& [id, container] : containers_) {
    if (kills_at_return_) end(*container, EndedBy::engine, killed_code);
    container->news.notify_all();
  }
  kills_at_return_ = false;
}

}  // namespace gantry::sim
