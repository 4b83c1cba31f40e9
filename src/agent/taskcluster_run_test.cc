// A whole run for the queue of a foreign Taskcluster.
#include "agent/queue_link.h"
#include "agent/taskcluster_queue.h"
#include "agent/testing/run_world.h"

namespace gantry::agent {
namespace {

/// Its container goes on until it is removed.
class LongEngine : public RunEngine {
 public:
  Async<> start_container(std::string) override { co_return; }
};

struct TaskclusterRunTest : RunWorld<LongEngine> {
  TaskclusterRunTest() {
    api.use_queue(
        make_taskcluster_queue(env, api, {true, "127.0.0.1:0", "here", "", "", {}}, directory.file("claims"), "p/w"));
    more_answers = [this](const net::OutgoingRequest& request) -> std::optional<net::IncomingResponse> {
      asked.push_back(request.target.substr(request.target.rfind('/') + 1));
      net::IncomingResponse response;
      response.status = request.target.ends_with("/reclaim") ? 409 : 200;
      response.body = "{}";
      return response;
    };
  }
  ~TaskclusterRunTest() override { env.run(api.queue().stop()); }

  std::vector<std::string> asked;
};

TEST_F(TaskclusterRunTest, ends_without_a_report_when_its_claim_is_not_renewed) {
  ClaimedRun claim;
  claim.run = {TaskId::random(env), 0};
  claim.taken_until = env.now() + minutes(20);
  claim.expires = env.now() + hours(2);
  claim.payload = json::object{{"image", "x"}, {"maxRunTime", 3600}};
  claim.credentials = {"run", "secret", ""};
  Time began = env.now();
  TaskRun run(env, engine, api, settings, claim, "");
  env.run(run.run());
  EXPECT_EQ(asked, std::vector<std::string>{"reclaim"});
  EXPECT_TRUE(run.unwanted());
  EXPECT_GE(env.now() - began, minutes(10));
  EXPECT_LT(env.now() - began, minutes(11));
  EXPECT_EQ(engine.calls, std::vector<std::string>{"remove"});
}

}  // namespace
}  // namespace gantry::agent
