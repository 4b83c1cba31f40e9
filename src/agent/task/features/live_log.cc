// localLiveLog: the log is readable on the server while the task runs (design 3.13).
#include "agent/queue_link.h"
#include "agent/task/feature.h"

namespace gantry::agent {
namespace {

class LiveLog : public Feature {
 public:
  Async<> link(RunContext& run) override {
    run.log.start(run.scope, run.payload.log);
    co_await run.server.queue().show_log(run);
  }
};

}  // namespace

std::unique_ptr<Feature> make_live_log() { return std::make_unique<LiveLog>(); }

}  // namespace gantry::agent
