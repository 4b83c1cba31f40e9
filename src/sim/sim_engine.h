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
  Async<> pull_image(std::string image, std::optional<engine::RegistryLogin> login,
                     std::function<void(std::string)> progress) override;
  Async<std::optional<engine::ImageInfo>> inspect_image(std::string image) override;
  Async<std::vector<engine::ImageInfo>> list_images() override;
  /// What save_image() gave is that image again; other bytes are an image without a reference.
  Async<std::vector<std::string>> load_image(std::shared_ptr<net::BodyReader> tar, std::int64_t bytes) override;
  Async<std::shared_ptr<net::BodyReader>> save_image(std::string image) override;
  Async<> tag_image(std::string id, std::string reference) override;
  Async<> remove_image(std::string reference) override;
  Async<std::string> commit_container(std::string id, std::string reference) override;
  Async<> create_volume(std::string name, std::map<std::string, std::string> labels) override;
  Async<> remove_volume(std::string name) override;
  Async<std::vector<engine::VolumeInfo>> list_volumes(std::string label, std::string value) override;
  Async<std::string> create_container(engine::ContainerSpec spec) override;
  Async<std::shared_ptr<engine::OutputStream>> attach(std::string id) override;
  Async<> start_container(std::string id) override;
  Async<std::shared_ptr<engine::OutputStream>> logs(std::string id, bool follow) override;
  Async<int> wait_container(std::string id) override;
  Async<engine::ContainerState> inspect_container(std::string id) override;
  Async<> kill_container(std::string id, std::string signal) override;
  Async<> remove_container(std::string id) override;
  Async<std::shared_ptr<net::BodyReader>> copy_out(std::string id, std::string path) override;
  /// Taken and forgotten: the plan says what a container does.
  Async<> copy_in(std::string id, std::string directory, std::shared_ptr<net::BodyReader> tar,
                  std::int64_t bytes) override;
  Async<std::vector<engine::ContainerSummary>> list_containers(std::string label, std::string value) override;
  Async<> ensure_network(std::string name) override;
  Async<engine::NetworkInfo> network_info(std::string name) override;

 private:
  /// Has the machine carry out `effect`, unless its engine is away by then. Throws what it throws, or what a fault
  /// says.
  Async<> call(std::string what, Duration deadline, std::function<void()> effect, Duration takes = Duration(0));

  SimMachine& machine_;
  SimEnv& agent_;
};

}  // namespace gantry::sim
