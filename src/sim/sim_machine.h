// A machine with a container engine. It outlives the agent's process: containers run, write, end and wait to be
// removed whether anybody looks or not. Its engine is restarted by fault, in the ways in which engines are.
//
// What the container of each run has done is kept as a fact after it is removed, for the checks.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "engine/engine.h"
#include "sim/container_plan.h"
#include "sim/faults.h"
#include "sim/sim_env.h"
#include "sim/trace.h"

namespace gantry::sim {

enum class EndedBy { nobody, itself, kill, engine };

struct ContainerFact {
  std::string machine;
  int starts = 0;
  std::int64_t started_us = 0;
  std::int64_t ended_us = 0;
  EndedBy ended_by = EndedBy::nobody;
  int exit_code = 0;
  bool out_of_memory = false;
  bool has_files = true;
  std::array<std::int64_t, 3> produced{};  // bytes by stream
};
/// Of all machines, by run.
using ContainerFacts = std::map<wire::RunRef, ContainerFact>;

struct SimContainer {
  enum class State { created, running, exited, removed };
  std::string id;
  std::string name;
  std::map<std::string, std::string> labels;
  bool serves = false;  // belongs to no run: it does nothing until it is killed
  wire::RunRef run;
  ContainerPlan plan;
  std::string image_id;
  std::set<std::string> volumes;
  Time created;
  State state = State::created;
  Time started;
  Time finished;
  int exit_code = 0;
  bool out_of_memory = false;
  std::vector<engine::Output> output;  // as stored by the engine
  Event news;                          // output, the end, or the engine's end
};
using ContainerPointer = std::shared_ptr<SimContainer>;

enum class EngineRestart {
  stopped,      // told to stop: ends its containers, answers on old connections until it is gone
  killed,       // its containers go on while it is away, and are killed when it comes back
  live_restore  // its containers go on
};

/// The id of an image of this content.
std::string image_id_of(std::string_view content);

class SimMachine {
 public:
  /// `fail` is told what an engine must never be asked for.
  SimMachine(VirtualClock& clock, std::uint64_t seed, std::string name, std::int64_t memory_bytes, Faults& faults,
             Trace& trace, ContainerFacts& facts, std::function<void(std::string)> fail);

  const std::string& name() const { return name_; }
  SimEnv& env() { return env_; }
  Faults& faults() { return faults_; }
  std::int64_t memory_bytes() const { return memory_bytes_; }

  // The engine's process.

  void restart_engine(EngineRestart how, Duration down);
  /// Back at once if it is away.
  void heal() { come_back(); }
  bool accepts() const { return daemon_ == Daemon::up; }
  /// Changes whenever the engine's connections break.
  std::uint64_t life() const { return life_; }

  // What it does when it is asked; all throw Error.

  std::string create(const engine::ContainerSpec& spec);
  /// By id or name; throws not_found.
  ContainerPointer find(const std::string& id) const;
  void start(const std::string& id);
  void kill(const std::string& id);
  void remove(const std::string& id);
  /// By reference or id; null if it is not there.
  const engine::ImageInfo* find_image(const std::string& image) const;
  bool has_image(const std::string& image) const { return find_image(image) != nullptr; }
  /// As pulled: the same reference is the same image on every machine.
  void add_image(const std::string& reference);
  void add_image(const std::string& id, const std::vector<std::string>& references);
  void tag_image(const std::string& image, const std::string& reference);
  void remove_image(const std::string& image);
  std::string commit(const std::string& id, const std::string& reference);
  const std::map<std::string, engine::ImageInfo>& images() const { return images_; }
  void create_volume(const std::string& name, const std::map<std::string, std::string>& labels);
  void remove_volume(const std::string& name);
  const std::map<std::string, engine::VolumeInfo>& volumes() const { return volumes_; }
  const std::map<std::string, ContainerPointer>& containers() const { return containers_; }

 private:
  enum class Daemon { up, stopping, down };

  void expect_volumes_unused(const SimContainer& container) const;
  void run_on(ContainerPointer container, std::size_t next_output);
  void write(SimContainer& container, const OutputPlan& piece);
  void end(SimContainer& container, EndedBy by, int exit_code);
  void end_later(ContainerPointer container, EndedBy by, int exit_code, std::int64_t delay_us);
  void go_away(Duration down, bool kills);
  void come_back();
  void event(std::string_view kind, const SimContainer& container, int number = 0);

  VirtualClock& clock_;
  std::uint64_t seed_;
  std::string name_;
  std::int64_t memory_bytes_;
  Faults& faults_;
  Trace& trace_;
  ContainerFacts& facts_;
  std::function<void(std::string)> fail_;
  SimEnv env_;
  Daemon daemon_ = Daemon::up;
  std::uint64_t life_ = 1;
  bool kills_at_return_ = false;
  std::uint64_t last_id_ = 0;
  std::map<std::string, engine::ImageInfo> images_;     // by id
  std::map<std::string, engine::VolumeInfo> volumes_;   // by name
  std::map<std::string, ContainerPointer> containers_;  // by id
};

}  // namespace gantry::sim
