// payload.sideContainers and features.dind: containers beside the task's, for those who may
// (agent/task/side_container.h).

#include <fmt/format.h>

#include "agent/task/feature.h"
#include "agent/task/side_container.h"
#include "base/text.h"

namespace gantry::agent {
namespace {

class SideContainers : public Feature {
 public:
  Async<> link(RunContext& run) override {
    if (containers_.empty()) containers_ = wanted(run);
    if (run.adopted) {
      for (const SideContainer& container : containers_) container.plan_again(run);
      co_return;
    }
    std::set<std::string> aliases;
    for (const SideContainer& container : containers_) {
      co_await container.require(run);
      if (!container.settings().alias.empty()) aliases.insert(container.settings().alias);
    }
    started_ = true;
    for (const SideContainer& container : containers_) co_await container.start(run, aliases);
  }

  /// What is not removed now, the agent's upkeep removes.
  Async<> removed(RunContext& run) override {
    if (!started_ && !run.adopted) co_return;
    for (const SideContainer& container : containers_) co_await container.remove(run);
  }

 protected:
  virtual std::vector<SideContainer> wanted(RunContext& run) const {
    std::vector<SideContainer> containers;
    const SideContainerList& known = run.settings.side_containers;
    for (const std::string& name : run.payload.side_containers) {
      auto found = known.find(name);
      if (found == known.end()) throw unknown(run, name);
      containers.emplace_back(name, found->second);
    }
    return containers;
  }

 private:
  static Error unknown(const RunContext& run, const std::string& name) {
    std::vector<std::string_view> names;
    for (const auto& [known, settings] : run.settings.side_containers) names.push_back(known);
    std::string_view nearest = nearest_word(name, names);
    std::string hint = names.empty() ? "its agent was started without --side-containers"
                                     : fmt::format("it has: {}", fmt::join(names, ", "));
    if (!nearest.empty()) hint = fmt::format("did you mean \"{}\"?", nearest);
    return Error(ErrorCode::invalid_input, fmt::format("this worker has no side container \"{}\"", shorten(name, 80)),
                 std::move(hint));
  }

  std::vector<SideContainer> containers_;
  bool started_ = false;  // some may be there
};

class DockerInDocker : public SideContainers {
 protected:
  std::vector<SideContainer> wanted(RunContext& run) const override {
    if (run.settings.dind_image.empty()) {
      throw Error(ErrorCode::invalid_input, "this worker has no image for features.dind",
                  "start its agent with --dind-image IMAGE and --allow-privileged");
    }
    return {SideContainer("dind", docker_in_docker(run.settings.dind_image))};
  }
};

}  // namespace

std::unique_ptr<Feature> make_side_containers() { return std::make_unique<SideContainers>(); }
std::unique_ptr<Feature> make_dind() { return std::make_unique<DockerInDocker>(); }

}  // namespace gantry::agent
