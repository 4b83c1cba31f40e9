#include "agent/task/feature.h"

namespace gantry::agent {
namespace {

struct FeatureMaker {
  std::string_view name;  // as in wire::features()
  std::unique_ptr<Feature> (*make)();
};

constexpr FeatureMaker makers[] = {
    {"localLiveLog", make_live_log},
    {"artifacts", make_artifacts},
};

}  // namespace

std::vector<std::unique_ptr<Feature>> make_features(const wire::Payload& payload) {
  std::vector<std::unique_ptr<Feature>> features;
  for (const FeatureMaker& maker : makers) {
    if (payload.feature(maker.name)) features.push_back(maker.make());
  }
  return features;
}

}  // namespace gantry::agent
