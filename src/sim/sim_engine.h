// The container engine of a simulated machine, as one life of an agent sees it: each call takes its time, and by fault
// fails, hangs until its deadline, is carried out without its answer arriving, or breaks off in the middle of a stream.
// What has been asked is carried out even if the asker has died meanwhile.
#pragma once

#include "engine/engine.h"
#include "sim/sim_machine.h"

namespace gantry::sim {

class SimEngine : public engine::Engine {
 public:
  /// `agent` is the process that asks: its deadlines run on its timers, and it hears nothing while it stands still.
  SimEngine(SimMachine& machine, SimEnv& agent) : machine_(machine), agent_(agent) {}

  Async<engine::EngineInfo> info() override;
  Async<bool> has_image(std::string image) override;
  Async<> pull_image(std::string image, std::function<void(std::string)> progress) override;
  Async<std::string> create_container(engine::ContainerSpec spec) override;
  Async<std::shared_ptr<engine::OutputStream>> attach(std::string id) override;
  Async<> start_container(std::string id) override;
  Async<std::shared_ptr<engine::OutputStream>> logs(std::string id, bool follow) override;
  Async<int> wait_container(std::string id) override;
  Async<engine::ContainerState> inspect_container(std::string id) override;
  Async<> kill_container(std::string id, std::string signal) override;
  Async<> remove_container(std::string id) override;
  Async<std::shared_ptr<net::BodyReader>> copy_out(std::string id, std::string path) override;
  Async<std::vector<engine::ContainerSummary>> list_containers(std::string label, std::string value) override;
  Async<> ensure_network(std::string name) override;

 private:
  /// Has the machine carry out `effect`, unless its engine is away by then. Throws what it throws, or what a fault
  /// says.
  Async<> call(std::string what, Duration deadline, std::function<void()> effect, Duration takes = Duration(0));

  SimMachine& machine_;
  SimEnv& agent_;
};

}  // namespace gantry::sim
