// A run from claim to report, with an engine and a server that do as they are told: what features may do and when they
// are called, scopes, and that whatever keeps a container from starting is in the log.
#include "agent/task/task_run.h"

#include <gtest/gtest.h>

#include "agent/devices.h"
#include "agent/task/scopes.h"
#include "agent/testing/run_world.h"
#include "agent/testing/tar_text.h"

namespace gantry::agent {
namespace {

const json::object with_ptrace{{"features", {{"allowPtrace", true}}}};
const json::object with_privileges{{"capabilities", {{"privileged", true}}}};

TEST_F(TaskRunTest, a_plain_task_needs_no_scopes) {
  EXPECT_EQ(run({}), "completed");
  EXPECT_EQ(scope_requests, 0);
  EXPECT_EQ(engine.created->image, "x");
  EXPECT_EQ(engine.created->shm_bytes, 64 << 20);
  EXPECT_FALSE(engine.created->privileged);
  EXPECT_TRUE(logged("Worker Type: type\n"));
}

TEST_F(TaskRunTest, a_feature_that_is_not_set_up_fails_the_task_and_the_log_says_so) {
  EXPECT_EQ(run({{"features", {{"localLiveLog", false}, {"dind", true}}}}), "failed");
  EXPECT_TRUE(logged("this worker has no image for features.dind; start its agent with --dind-image")) << server->log;
  EXPECT_FALSE(engine.created);
  EXPECT_EQ(run({{"features", {{"dind", false}}}}), "completed");
}

TEST_F(TaskRunTest, whatever_is_wrong_with_the_payload_is_in_the_log) {
  EXPECT_EQ(run({{"comand", json::array{"true"}}}), "malformed-payload");
  EXPECT_TRUE(logged("[taskcluster:error] payload.comand: unknown key; did you mean \"command\"?\n")) << server->log;
}

TEST_F(TaskRunTest, an_artifact_must_not_outlive_its_task) {
  std::string late = format_time(env.now() + hours(3));
  json::object artifact{{"type", "file"}, {"path", "/x"}, {"expires", late}};
  EXPECT_EQ(run({{"artifacts", {{"a", artifact}}}}), "malformed-payload");
  EXPECT_TRUE(logged("must not be greater than task expiration"));
}

TEST_F(TaskRunTest, a_directory_that_is_uploaded_again_goes_on_where_it_broke_off) {
  engine.archive = tar_entry("out/", "", '5') + tar_entry("out/one", "1") + tar_entry("out/two", "2") +
                   tar_entry("out/three", "3") + tar_end();
  failing_upload = "public%2Fout%2Ftwo";
  EXPECT_EQ(run({{"artifacts", {{"public/out", {{"type", "directory"}, {"path", "/out"}}}}}}), "completed");
  EXPECT_EQ(uploads, (std::vector<std::string>{"public%2Fout%2Fone", "public%2Fout%2Ftwo", "public%2Fout%2Ftwo",
                                               "public%2Fout%2Fthree"}));
}

TEST_F(TaskRunTest, a_file_is_read_where_the_engine_keeps_it_or_from_an_archive) {
  engine.archive = tar_entry("f", "archived") + tar_end();
  EXPECT_EQ(run({{"artifacts",
                  {{"public/a", {{"type", "file"}, {"path", "/stored"}}},
                   {"public/b", {{"type", "file"}, {"path", "/f"}}}}}}),
            "completed");
  EXPECT_EQ(uploaded_bytes, (std::vector<std::int64_t>{6, 8}));
}

TEST_F(TaskRunTest, an_image_that_cannot_be_had_is_in_the_log) {
  engine.image_is_there = false;
  EXPECT_EQ(run({}), "failed");
  EXPECT_TRUE(logged("[taskcluster:error] Pulling docker image \"x\" has failed: no such image\n")) << server->log;
}

TEST_F(TaskRunTest, tracing_needs_a_scope) {
  EXPECT_EQ(run(with_ptrace), "failed");
  EXPECT_TRUE(
      logged("Insufficient scopes to use the allowPtrace feature; the task needs the scope "
             "docker-worker:feature:allowPtrace\n"))
      << server->log;
  scopes = R"({"scopes":["docker-worker:feature:allow*"]})";
  EXPECT_EQ(run(with_ptrace), "completed");
  EXPECT_EQ(engine.created->capabilities_add, std::vector<std::string>{"SYS_PTRACE"});
}

TEST_F(TaskRunTest, a_scope_may_be_for_one_pool) {
  scopes = R"({"scopes":["docker-worker:feature:allowPtrace:prov/other"]})";
  EXPECT_EQ(run(with_ptrace), "failed");
  scopes = R"({"scopes":["docker-worker:feature:allowPtrace:prov/type"]})";
  EXPECT_EQ(run(with_ptrace), "completed");
}

TEST_F(TaskRunTest, privileges_need_the_scope_and_the_agents_leave) {
  scopes = R"({"scopes":["docker-worker:*"]})";
  EXPECT_EQ(run(with_privileges), "failed");
  EXPECT_TRUE(logged("Cannot run task using docker privileged mode"));
  EXPECT_EQ(scope_requests, 0);
  settings.allow_privileged = true;
  EXPECT_EQ(run(with_privileges), "completed");
  EXPECT_TRUE(engine.created->privileged);
  scopes = R"({"scopes":[]})";
  EXPECT_EQ(run(with_privileges), "failed");
  EXPECT_TRUE(logged("Insufficient scopes to run task in privileged mode"));
}

TEST_F(TaskRunTest, a_hook_that_fails_for_a_moment_is_called_again) {
  scopes = R"({"scopes":["*"]})";
  scope_failures = 2;
  EXPECT_EQ(run(with_ptrace), "completed");
  EXPECT_EQ(scope_requests, 3);
  scope_failures = 3;
  EXPECT_EQ(run(with_ptrace), "failed");
  EXPECT_EQ(scope_requests, 6);
}

json::object with_cache(json::object changes = {}) {
  changes["cache"] = {{"build", "/cache"}};
  return changes;
}

TEST_F(TaskRunTest, caches_are_mounted_and_used_again) {
  scopes = R"({"scopes":["docker-worker:cache:build:prov/type"]})";
  EXPECT_EQ(run(with_cache()), "completed");
  ASSERT_EQ(engine.volumes.size(), 1u);
  std::string volume = engine.volumes.begin()->first;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(engine.created->mounts.size(), 1u);
    EXPECT_EQ(engine.created->mounts[0].source, volume);
    EXPECT_EQ(engine.created->mounts[0].target, "/cache");
    EXPECT_EQ(engine.created->labels.at(held_caches_label), volume);
    EXPECT_TRUE(logged("] using cache \"build\" -> /cache\n")) << server->log;
    EXPECT_EQ(run(with_cache()), "completed");
  }
  EXPECT_EQ(engine.volumes.size(), 1u);
}

TEST_F(TaskRunTest, caches_need_a_scope) {
  scopes = R"({"scopes":["docker-worker:cache:other"]})";
  EXPECT_EQ(run(with_cache()), "failed");
  EXPECT_TRUE(
      logged("Insufficient scopes to attach cache \"build\"; the task needs the scope docker-worker:cache:build"))
      << server->log;
  EXPECT_FALSE(engine.created);
  EXPECT_TRUE(engine.volumes.empty());
}

TEST_F(TaskRunTest, caches_are_thrown_away_by_exit_code) {
  scopes = R"({"scopes":["*"]})";
  json::object payload = with_cache({{"onExitStatus", {{"purgeCaches", {3}}}}});
  engine.ends_with = 3;
  EXPECT_EQ(run(payload), "failed");
  EXPECT_TRUE(engine.volumes.empty());
  EXPECT_TRUE(logged("Purging the task's caches: exit code 3"));
}

TEST_F(TaskRunTest, other_exit_codes_leave_caches_alone) {
  scopes = R"({"scopes":["*"]})";
  engine.ends_with = 4;
  EXPECT_EQ(run(with_cache({{"onExitStatus", {{"purgeCaches", {3}}}}})), "failed");
  EXPECT_EQ(engine.volumes.size(), 1u);
}

TEST_F(TaskRunTest, a_container_that_cannot_be_removed_keeps_its_caches) {
  scopes = R"({"scopes":["*"]})";
  engine.removal_fails = true;
  EXPECT_EQ(run(with_cache()), "completed");
  EXPECT_EQ(run(with_cache()), "completed");
  EXPECT_EQ(engine.volumes.size(), 2u);
  EXPECT_EQ(caches.leftovers().size(), 2u);
}

TEST_F(TaskRunTest, what_needs_a_key_is_refused_by_a_worker_without_one) {
  EXPECT_EQ(run({{"features", {{"chainOfTrust", true}}}}), "failed");
  EXPECT_TRUE(logged("this worker has no key to sign a chain of trust with; start its agent with --signing-key FILE"));
  EXPECT_EQ(run({{"encryptedEnv", {"aGVsbG8="}}}), "failed");
  EXPECT_TRUE(logged("this worker has no key to read payload.encryptedEnv with"));
  EXPECT_FALSE(engine.created);
}

TEST_F(TaskRunTest, devices_are_given_to_those_with_the_scope_and_taken_back) {
  DeviceStore devices({directory.file(""), true});
  devices.set_cpus(1);
  settings.devices = &devices;
  const json::object with_cpu{{"capabilities", {{"devices", {{"cpu", true}}}}}};
  EXPECT_EQ(run(with_cpu), "failed");
  EXPECT_TRUE(logged("Insufficient scopes to attach devices"));
  scopes = R"({"scopes":["docker-worker:capability:device:cpu"]})";
  for (int times = 0; times < 2; ++times) {
    EXPECT_EQ(run(with_cpu), "completed");
    EXPECT_EQ(engine.created->cpuset, "0");
    EXPECT_TRUE(devices.holders().empty());
  }
  engine.removal_fails = true;
  EXPECT_EQ(run(with_cpu), "completed");
  EXPECT_EQ(devices.holders().size(), 1u) << "its container is still there";
}

TEST_F(TaskRunTest, exit_codes_may_mean_try_again) {
  json::object payload{{"onExitStatus", {{"retry", {3}}}}};
  engine.ends_with = 3;
  EXPECT_EQ(run(payload), "intermittent-task");
  EXPECT_EQ(report.at("exit").at("code"), 3);
}

TEST_F(TaskRunTest, other_exit_codes_are_failures) {
  engine.ends_with = 4;
  EXPECT_EQ(run({{"onExitStatus", {{"retry", {3}}}}}), "failed");
}

/// Tells which hooks were called; fails in `link` as often as it is told.
class Recorder : public Feature {
 public:
  Recorder(RunEngine& engine, int link_failures) : calls_(engine.calls), link_failures_(link_failures) {}

  Async<> link(RunContext& run) override {
    calls_.push_back("link");
    run.plan.env.emplace_back("FROM_LINK", "1");
    if (link_failures_-- > 0) throw Error(ErrorCode::unavailable, "not yet");
    co_return;
  }
  Async<> created(RunContext&) override { return note("created"); }
  Async<> started(RunContext&) override { return note("started"); }
  Async<> stopped(RunContext& run) override {
    return note(run.exit_code ? "stopped " + std::to_string(*run.exit_code) : "stopped");
  }
  Async<> killed(RunContext&) override { return note("killed"); }
  Async<> removed(RunContext& run) override { return note("removed " + run.container); }

 private:
  Async<> note(std::string what) {
    calls_.push_back(std::move(what));
    co_return;
  }
  std::vector<std::string>& calls_;
  int link_failures_;
};

using Calls = std::vector<std::string>;

TEST_F(TaskRunTest, hooks_are_called_in_their_order_the_last_once_the_container_is_gone) {
  settings.more_features = [this](auto& features) { features.push_back(std::make_unique<Recorder>(engine, 0)); };
  EXPECT_EQ(run({}), "completed");
  EXPECT_EQ(engine.calls, (Calls{"link", "created", "start", "started", "stopped 0", "killed", "remove", "removed "}));
}

TEST_F(TaskRunTest, what_a_failed_hook_had_planned_is_forgotten) {
  settings.more_features = [this](auto& features) { features.push_back(std::make_unique<Recorder>(engine, 2)); };
  EXPECT_EQ(run({}), "completed");
  EXPECT_EQ(std::ranges::count(engine.calls, "link"), 3);
  EXPECT_EQ(std::ranges::count_if(engine.created->env, [](const auto& v) { return v.first == "FROM_LINK"; }), 1);
}

TEST_F(TaskRunTest, a_task_that_never_starts_still_gives_back_what_it_took) {
  settings.more_features = [this](auto& features) { features.push_back(std::make_unique<Recorder>(engine, 3)); };
  EXPECT_EQ(run({}), "failed");
  EXPECT_TRUE(logged("A feature of the task could not be set up: not yet")) << server->log;
  EXPECT_EQ(engine.calls, (Calls{"link", "link", "link", "killed", "removed "}));
}

}  // namespace
}  // namespace gantry::agent
