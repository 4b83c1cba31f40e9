#include "sim/sim_engine.h"

#include <fmt/format.h>

namespace gantry::sim {
namespace {

constexpr std::int64_t call_us_min = 300;
constexpr std::int64_t call_us_max = 30'000;
constexpr std::int64_t slow_us_max = 25'000'000;  // below every deadline
constexpr Duration call_timeout = seconds(30);    // as engine/docker has them
constexpr Duration archive_timeout = seconds(60);
constexpr Duration pull_timeout = minutes(5);
constexpr Duration pull_max = seconds(40);
constexpr Duration load_timeout = hours(1);
constexpr std::size_t archive_piece_bytes = 900;
constexpr std::size_t upload_bytes_max = 64u << 20;
constexpr std::string_view saved_image_mark = "simulated image ";
const engine::NetworkInfo network{"172.18.0.1", "172.18.0.0/16"};

constexpr double fails_chance = 0.003;
constexpr double hangs_chance = 0.001;
constexpr double slow_chance = 0.003;
constexpr double answer_lost_chance = 0.002;
constexpr double cut_chance = 0.004;      // of a read
constexpr double short_log_chance = 0.3;  // of a followed log that is still being read when its container ends
constexpr double quiet_end_chance = 0.5;  // that a stream ends when its engine dies, instead of breaking

Error away(const std::string& what) {
  return Error(ErrorCode::unavailable, what + ": cannot connect to the container engine", "is it running?");
}

/// A process that stands still hears nothing.
Async<> when_awake(SimEnv& agent) {
  while (agent.paused()) co_await agent.sleep(Duration(0));
}

/// What the engine has stored of a container's output, from some piece on, and what it adds.
class SimOutput : public engine::OutputStream {
 public:
  enum class Kind { attached, followed, stored };
  SimOutput(SimMachine& machine, SimEnv& agent, ContainerPointer container, Kind kind)
      : machine_(machine),
        agent_(agent),
        container_(std::move(container)),
        kind_(kind),
        life_(machine.life()),
        next_(kind == Kind::attached ? container_->output.size() : 0),
        end_(container_->output.size()) {}

  Async<engine::Output> read() override {
    for (;;) {
      co_await when_awake(agent_);
      if (broken_) throw Error(ErrorCode::unavailable, "the output of a container broke off");
      if (machine_.life() != life_) {
        if (machine_.env().random_source().chance(quiet_end_chance)) co_return engine::Output();
        throw Error(ErrorCode::unavailable, "the container engine went away");
      }
      std::size_t available = kind_ == Kind::stored ? end_ : container_->output.size();
      if (next_ < available && !ends_early(available)) co_return take_piece();
      bool over = kind_ == Kind::stored || container_->state == SimContainer::State::exited ||
                  container_->state == SimContainer::State::removed;
      if (over) co_return engine::Output();
      co_await container_->news.wait();
    }
  }

 private:
  /// Docker ends a followed log with its container, at times before the last line.
  bool ends_early(std::size_t available) {
    if (kind_ != Kind::followed || next_ + 1 != available || container_->state == SimContainer::State::running) {
      return false;
    }
    return machine_.faults().fires(Fault::engine_log_short, machine_.env().random_source(), short_log_chance);
  }

  engine::Output take_piece() {
    engine::Output piece = container_->output[next_++];
    Random& random = machine_.env().random_source();
    if (machine_.faults().fires(Fault::engine_stream_cut, random, cut_chance)) {
      broken_ = true;
      piece.bytes.resize(random.between(std::int64_t{1}, static_cast<std::int64_t>(piece.bytes.size())));
    }
    return piece;
  }

  SimMachine& machine_;
  SimEnv& agent_;
  ContainerPointer container_;
  Kind kind_;
  std::uint64_t life_;
  std::size_t next_;
  std::size_t end_;  // of what was stored when it was asked for
  bool broken_ = false;
};

class SimArchive : public net::BodyReader {
 public:
  SimArchive(SimMachine& machine, SimEnv& agent, std::string bytes)
      : machine_(machine), agent_(agent), life_(machine.life()), bytes_(std::move(bytes)) {}

  Async<std::string> read_some() override {
    co_await when_awake(agent_);
    Random& random = machine_.env().random_source();
    if (machine_.life() != life_ || machine_.faults().fires(Fault::engine_stream_cut, random, cut_chance)) {
      throw Error(ErrorCode::unavailable, "an archive from the container engine broke off");
    }
    std::string piece = bytes_.substr(at_, archive_piece_bytes);
    at_ += piece.size();
    co_return piece;
  }

 private:
  SimMachine& machine_;
  SimEnv& agent_;
  std::uint64_t life_;
  std::string bytes_;
  std::size_t at_ = 0;
};

/// Does it unless the container is gone, which is fine.
template <class Work>
void unless_gone(Work work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
  }
}

}  // namespace

Async<> SimEngine::call(std::string what, Duration deadline, std::function<void()> effect, Duration takes) {
  SimEnv& machine = machine_.env();
  Random& random = machine.random_source();
  Faults& faults = machine_.faults();
  std::int64_t latency_us = takes.count() * 1000 + random.between(call_us_min, call_us_max);
  if (faults.fires(Fault::engine_slow, random, slow_chance)) latency_us += random.between(call_us_max, slow_us_max);
  bool fails = !machine_.accepts() || faults.fires(Fault::engine_call_fails, random, fails_chance);
  bool hangs = !fails && faults.fires(Fault::engine_call_hangs, random, hangs_chance);
  bool lost = !fails && !hangs && faults.fires(Fault::engine_answer_lost, random, answer_lost_chance);
  bool carried_out = !fails && (!hangs || random.chance(0.5));
  struct Outcome {
    bool answered = false;
    std::exception_ptr failure;
  };
  auto outcome = std::make_shared<Outcome>();
  auto start = [&](Resumer<bool> resume) {
    if (hangs || fails) {
      agent_.call_after(hangs ? deadline : Duration(1), [resume] { resume(true); });
    }
    if (!carried_out) return;
    machine.call_after_us(latency_us, [this_machine = &machine_, outcome, resume, hangs, life = machine_.life(),
                                       effect = std::move(effect)] {
      bool there = this_machine->accepts() && this_machine->life() == life;
      outcome->answered = there && !hangs;
      try {
        if (there) effect();
      } catch (const Error&) {
        outcome->failure = std::current_exception();
      }
      if (!hangs) resume(true);
    });
  };
  co_await suspend<bool>(start);
  co_await when_awake(agent_);
  if (hangs) throw Error(ErrorCode::deadline_exceeded, what + ": the container engine did not answer in time");
  if (!outcome->answered) throw away(what);
  if (lost) throw Error(ErrorCode::unavailable, what + ": the connection to the container engine broke");
  if (outcome->failure) std::rethrow_exception(outcome->failure);
}

Async<engine::EngineInfo> SimEngine::info() {
  co_await call("info", call_timeout, [] {});
  co_return engine::EngineInfo{"simulated", 4, machine_.memory_bytes(), 2};
}

Async<bool> SimEngine::has_image(std::string image) {
  auto has = std::make_shared<bool>(false);
  co_await call("image", call_timeout,
                [has, this_machine = &machine_, image] { *has = this_machine->has_image(image); });
  co_return *has;
}

Async<> SimEngine::pull_image(std::string image, std::optional<engine::RegistryLogin>,
                              std::function<void(std::string)>) {
  Duration takes = machine_.env().random_source().between(seconds(1), pull_max);
  co_await call("pull", pull_timeout, [this_machine = &machine_, image] { this_machine->add_image(image); }, takes);
}

Async<std::optional<engine::ImageInfo>> SimEngine::inspect_image(std::string image) {
  auto info = std::make_shared<std::optional<engine::ImageInfo>>();
  co_await call("image", call_timeout, [info, this_machine = &machine_, image] {
    if (const engine::ImageInfo* found = this_machine->find_image(image)) *info = *found;
  });
  co_return std::move(*info);
}

Async<std::vector<engine::ImageInfo>> SimEngine::list_images() {
  auto list = std::make_shared<std::vector<engine::ImageInfo>>();
  co_await call("list images", call_timeout, [list, this_machine = &machine_] {
    for (const auto& [id, info] : this_machine->images()) list->push_back(info);
  });
  co_return std::move(*list);
}

Async<std::vector<std::string>> SimEngine::load_image(std::shared_ptr<net::BodyReader> tar, std::int64_t) {
  std::string bytes = co_await net::read_all(*tar, upload_bytes_max);
  if (bytes.empty()) throw Error(ErrorCode::invalid_input, "the archive holds no image");
  auto loaded = std::make_shared<std::vector<std::string>>();
  std::string id = image_id_of(bytes);
  if (bytes.starts_with(saved_image_mark)) {
    std::size_t end = bytes.find('\n');
    id = bytes.substr(saved_image_mark.size(), end - saved_image_mark.size());
    std::string reference = bytes.substr(end + 1);
    if (!reference.empty()) loaded->push_back(std::move(reference));
  }
  co_await call("load", load_timeout, [loaded, id, this_machine = &machine_] { this_machine->add_image(id, *loaded); });
  if (loaded->empty()) loaded->push_back(id);
  co_return std::move(*loaded);
}

Async<std::shared_ptr<net::BodyReader>> SimEngine::save_image(std::string image) {
  auto archive = std::make_shared<std::string>();
  co_await call("save", archive_timeout, [archive, this_machine = &machine_, image] {
    const engine::ImageInfo* found = this_machine->find_image(image);
    if (!found) throw Error(ErrorCode::not_found, "No such image: " + image);
    *archive = fmt::format("{}{}\n{}", saved_image_mark, found->id, image == found->id ? "" : image);
  });
  co_return std::make_shared<SimArchive>(machine_, agent_, std::move(*archive));
}

Async<> SimEngine::tag_image(std::string id, std::string reference) {
  return call("tag", call_timeout,
              [this_machine = &machine_, id, reference] { this_machine->tag_image(id, reference); });
}

Async<> SimEngine::remove_image(std::string reference) {
  return call("remove image", call_timeout,
              [this_machine = &machine_, reference] { this_machine->remove_image(reference); });
}

Async<std::string> SimEngine::commit_container(std::string id, std::string reference) {
  auto image = std::make_shared<std::string>();
  co_await call("commit", archive_timeout,
                [image, this_machine = &machine_, id, reference] { *image = this_machine->commit(id, reference); });
  co_return *image;
}

Async<> SimEngine::create_volume(std::string name, std::map<std::string, std::string> labels) {
  return call("create volume", call_timeout,
              [this_machine = &machine_, name, labels] { this_machine->create_volume(name, labels); });
}

Async<> SimEngine::remove_volume(std::string name) {
  return call("remove volume", call_timeout, [this_machine = &machine_, name] { this_machine->remove_volume(name); });
}

Async<std::vector<engine::VolumeInfo>> SimEngine::list_volumes(std::string label, std::string value) {
  auto list = std::make_shared<std::vector<engine::VolumeInfo>>();
  co_await call("list volumes", call_timeout, [list, this_machine = &machine_, label, value] {
    for (const auto& [name, volume] : this_machine->volumes()) {
      auto found = volume.labels.find(label);
      if (found != volume.labels.end() && found->second == value) list->push_back(volume);
    }
  });
  co_return std::move(*list);
}

Async<std::string> SimEngine::create_container(engine::ContainerSpec spec) {
  auto id = std::make_shared<std::string>();
  co_await call("create", call_timeout, [id, this_machine = &machine_, spec] { *id = this_machine->create(spec); });
  co_return *id;
}

Async<std::shared_ptr<engine::OutputStream>> SimEngine::attach(std::string id) {
  auto output = std::make_shared<std::shared_ptr<engine::OutputStream>>();
  co_await call("attach", call_timeout, [output, this_machine = &machine_, agent = &agent_, id] {
    *output = std::make_shared<SimOutput>(*this_machine, *agent, this_machine->find(id), SimOutput::Kind::attached);
  });
  co_return *output;
}

Async<> SimEngine::start_container(std::string id) {
  return call("start", call_timeout, [this_machine = &machine_, id] { this_machine->start(id); });
}

Async<std::shared_ptr<engine::OutputStream>> SimEngine::logs(std::string id, bool follow) {
  auto output = std::make_shared<std::shared_ptr<engine::OutputStream>>();
  co_await call("logs", call_timeout, [output, this_machine = &machine_, agent = &agent_, id, follow] {
    auto kind = follow ? SimOutput::Kind::followed : SimOutput::Kind::stored;
    *output = std::make_shared<SimOutput>(*this_machine, *agent, this_machine->find(id), kind);
  });
  co_return *output;
}

Async<int> SimEngine::wait_container(std::string id) {
  auto found = std::make_shared<ContainerPointer>();
  co_await call("wait", call_timeout, [found, this_machine = &machine_, id] { *found = this_machine->find(id); });
  const ContainerPointer& container = *found;
  std::uint64_t life = machine_.life();
  while (container->state == SimContainer::State::running || container->state == SimContainer::State::created) {
    if (machine_.life() != life) throw away("wait");
    co_await container->news.wait();
  }
  co_await when_awake(agent_);
  co_return container->exit_code;
}

Async<engine::ContainerState> SimEngine::inspect_container(std::string id) {
  auto state = std::make_shared<engine::ContainerState>();
  co_await call("inspect", call_timeout, [state, this_machine = &machine_, id] {
    ContainerPointer container = this_machine->find(id);
    state->id = container->id;
    state->running = container->state == SimContainer::State::running;
    state->created_only = container->state == SimContainer::State::created;
    state->exit_code = container->exit_code;
    state->out_of_memory = container->out_of_memory;
    state->started = container->started;
    state->finished = container->finished;
    if (state->running) state->address = "172.18.0.2";
  });
  co_return *state;
}

Async<> SimEngine::kill_container(std::string id, std::string) {
  return call("kill", call_timeout, [this_machine = &machine_, id] { unless_gone([&] { this_machine->kill(id); }); });
}

Async<> SimEngine::remove_container(std::string id) {
  return call("remove", call_timeout,
              [this_machine = &machine_, id] { unless_gone([&] { this_machine->remove(id); }); });
}

Async<std::shared_ptr<net::BodyReader>> SimEngine::copy_out(std::string id, std::string path) {
  auto archive = std::make_shared<std::string>();
  co_await call("copy", archive_timeout, [archive, this_machine = &machine_, id, path] {
    ContainerPointer container = this_machine->find(id);
    std::optional<std::string> bytes;
    if (container->plan.has_files) bytes = archive_of(container_files(container->run), path);
    if (!bytes) throw Error(ErrorCode::not_found, "Could not find the file " + path);
    *archive = std::move(*bytes);
  });
  co_return std::make_shared<SimArchive>(machine_, agent_, std::move(*archive));
}

Async<> SimEngine::copy_in(std::string id, std::string, std::shared_ptr<net::BodyReader> tar, std::int64_t) {
  co_await net::read_all(*tar, upload_bytes_max);
  co_await call("copy in", archive_timeout, [this_machine = &machine_, id] { this_machine->find(id); });
}

Async<std::vector<engine::ContainerSummary>> SimEngine::list_containers(std::string label, std::string value) {
  auto list = std::make_shared<std::vector<engine::ContainerSummary>>();
  co_await call("list", call_timeout, [list, this_machine = &machine_, label, value] {
    for (const auto& [id, container] : this_machine->containers()) {
      auto found = container->labels.find(label);
      if (found == container->labels.end() || found->second != value) continue;
      list->push_back({id, container->name, container->labels, container->state == SimContainer::State::running,
                       container->created, container->image_id});
    }
  });
  co_return std::move(*list);
}

Async<> SimEngine::ensure_network(std::string) {
  return call("network", call_timeout, [] {});
}

Async<engine::NetworkInfo> SimEngine::network_info(std::string) {
  co_await call("network", call_timeout, [] {});
  co_return network;
}

}  // namespace gantry::sim
