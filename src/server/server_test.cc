// The server as its clients see it: tasks from creation to their end, and what happens when the store fails.
#include "server/server.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct ServerTest : testing::Test, ServerWorld {
  ServerTest() {
    set_log_sink([this](LogLevel, std::string_view line) { logged.emplace_back(line); });
  }
  ~ServerTest() override {
    stop();
    set_log_sink(nullptr);
  }
  std::vector<std::string> logged;
};

TEST_F(ServerTest, ATaskFromCreationToItsEnd) {
  TaskId id = create();
  EXPECT_EQ(runs(id), "pending");
  Answer claimed = send(claim_call());
  ASSERT_EQ(claimed.status, 200) << claimed.text;
  EXPECT_EQ(claimed.at("/tasks/0/status/state"), "running");
  EXPECT_EQ(claimed.at("/tasks/0/runId"), "0");
  EXPECT_EQ(claimed.at("/tasks/0/workerId"), "worker");
  EXPECT_EQ(claimed.at("/tasks/0/task/payload/image"), "debian:12");
  auto run = credentials_in(claimed, "/tasks/0");
  EXPECT_TRUE(run.client_id.starts_with("task-client/" + id.to_string() + "/0/on/group/worker/until/"))
      << run.client_id;
  Answer reclaimed = post(run_path(id) + "/reclaim", "", &run);
  ASSERT_EQ(reclaimed.status, 200) << reclaimed.text;
  auto renewed = credentials_in(reclaimed, "");
  Answer completed = post(run_path(id) + "/completed", "{}", &renewed);
  ASSERT_EQ(completed.status, 200) << completed.text;
  EXPECT_EQ(completed.at("/status/state"), "completed");
  EXPECT_EQ(completed.at("/status/runs/0/reasonResolved"), "completed");
  EXPECT_EQ(completed.at("/status/runs/0/takenUntil"), reclaimed.at("/takenUntil")) << "it is kept";
  EXPECT_EQ(get(task_path(id)).at("/metadata/name"), "a test");
  EXPECT_EQ(get("/v1/tasks/" + id.to_string()).at("/runs/0/state"), "completed");
}

TEST_F(ServerTest, CreationIsIdempotent) {
  json::object definition = wire::task_json(env.now());
  TaskId id = create(definition);
  EXPECT_EQ(put_task(id, definition).status, 200);
  definition["retries"] = 3;
  Answer other = put_task(id, definition);
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(other.at("/code"), "RequestConflict");
}

TEST_F(ServerTest, AClaimWaitsForATask) {
  auto waiting = begin(claim_call());
  env.advance(seconds(5));
  EXPECT_FALSE(waiting->done);
  TaskId id = create();
  Answer claimed = env.finish(waiting);
  EXPECT_EQ(claimed.at("/tasks/0/status/taskId"), id.to_string());
  EXPECT_LT(env.uptime(), seconds(6)) << "it was woken, not timed out";
}

TEST_F(ServerTest, AClaimAnswersWithNothingAfter20Seconds) {
  Answer claimed = send(claim_call());
  EXPECT_EQ(claimed.text, "{\"tasks\":[]}");
  EXPECT_GE(env.uptime(), seconds(20));
  EXPECT_LT(env.uptime(), seconds(21));
}

TEST_F(ServerTest, OneTaskGoesToOneOfSeveralWaiters) {
  auto first = begin(claim_call());
  auto second = begin(claim_call());
  create();
  env.advance(seconds(1));
  EXPECT_TRUE(first->done);
  EXPECT_FALSE(second->done);
  create();
  EXPECT_NE(env.finish(second).text, "{\"tasks\":[]}");
}

TEST_F(ServerTest, AWaiterWhoseClientIsGoneTakesNothing) {
  auto peer = std::make_shared<FakePeer>();
  Ask ask = claim_call();
  ask.peer = peer;
  auto waiting = begin(ask);
  peer->leave();
  EXPECT_EQ(env.finish(waiting).text, "{\"tasks\":[]}");
  TaskId id = create();
  EXPECT_EQ(runs(id), "pending");
}

TEST_F(ServerTest, AnUndeliveredClaimIsPendingAgain) {
  TaskId id = create();
  Answer claimed = send(claim_call());
  EXPECT_EQ(runs(id), "running");
  auto waiting = begin(claim_call());
  claimed.undelivered();
  EXPECT_EQ(env.finish(waiting).at("/tasks/0/status/taskId"), id.to_string()) << "and wakes the next in line";
  EXPECT_EQ(get(task_path(id) + "/status").at("/status/retriesLeft"), "5");
}

TEST_F(ServerTest, ClaimsExpireAndAreRetried) {
  auto [id, run] = running();
  env.advance(minutes(19));
  EXPECT_EQ(runs(id), "running");
  env.advance(minutes(2));
  EXPECT_EQ(runs(id), "exception claim-expired, pending");
  EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 409);
}

TEST_F(ServerTest, DeadlinesEndTasks) {
  TaskId id = create();
  env.advance(hours(1) + seconds(1));
  EXPECT_EQ(runs(id), "exception deadline-exceeded");
}

TEST_F(ServerTest, ATaskPastItsDeadlineHoldsUpThoseBehindItNoLongerThanItIsThere) {
  TaskId first = create();
  json::object later = wire::task_json(env.now());
  later["deadline"] = format_time(env.now() + hours(2));
  TaskId second = create(later);
  env.advance(minutes(59));
  store.lock()->fail_next(store::Outcome::failed);  // its deadline is noticed a second late
  env.advance(minutes(1) + milliseconds(500));
  ASSERT_EQ(runs(first), "pending");
  auto claiming = begin(claim_call());
  Time begun = env.now();
  Answer claimed = env.finish(claiming);
  EXPECT_EQ(claimed.at("/tasks/0/status/taskId"), second.to_string()) << claimed.text;
  EXPECT_EQ(runs(first), "exception deadline-exceeded");
  EXPECT_LT(env.now() - begun, seconds(5)) << "it waited on although there was a task";
}

TEST_F(ServerTest, CancelIsAnsweredAndStays) {
  TaskId id = create();
  EXPECT_EQ(post(task_path(id) + "/cancel").at("/status/state"), "exception");
  EXPECT_EQ(post(task_path(id) + "/cancel").status, 200);
  EXPECT_EQ(runs(id), "exception canceled");
}

TEST_F(ServerTest, WaitingForATaskEndsWithIt) {
  auto [id, run] = running();
  auto waiting = begin({.target = "/v1/tasks/" + id.to_string() + "?wait=20s"});
  env.advance(seconds(3));
  EXPECT_FALSE(waiting->done);
  post(run_path(id) + "/failed", "{}", &run);
  EXPECT_EQ(env.finish(waiting).at("/state"), "failed");
}

TEST_F(ServerTest, AnAgentsReportKeepsHowTheContainerEnded) {
  auto [id, run] = running();
  Answer reported =
      post(native_path(id) + "/report",
           R"({"reason":"failed","exit":{"code":137,"signal":9,"outOfMemory":true,"message":"killed"}})", &run);
  ASSERT_EQ(reported.status, 200) << reported.text;
  Answer task = get("/v1/tasks/" + id.to_string());
  EXPECT_EQ(task.at("/runs/0/exit/code"), "137");
  EXPECT_EQ(task.at("/runs/0/exit/outOfMemory"), "true");
}

TEST_F(ServerTest, ARestartKeepsEverything) {
  TaskId pending = create();
  auto [id, run] = [&] {
    auto credentials = claim(pending);
    return std::pair(pending, credentials);
  }();
  TaskId resolved = create();
  auto resolved_run = claim(resolved);
  ASSERT_EQ(post(run_path(resolved) + "/completed", "{}", &resolved_run).status, 200);
  TaskId waiting = create();
  restart();
  EXPECT_EQ(runs(id), "running");
  EXPECT_EQ(runs(resolved), "completed completed");
  EXPECT_EQ(runs(waiting), "pending");
  EXPECT_EQ(get(task_path(resolved)).at("/metadata/name"), "a test");
  EXPECT_EQ(put_task(resolved, wire::task_json(env.now() - hours(1))).status, 409) << "its id stays taken";
  EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 200) << "credentials survive too";
  claim(waiting);
}

TEST_F(ServerTest, AfterARestartALeaseGetsAFullTerm) {
  auto [id, run] = running();
  env.advance(minutes(15));
  restart();
  env.advance(minutes(19));
  EXPECT_EQ(runs(id), "running");
  env.advance(minutes(2));
  EXPECT_EQ(runs(id), "exception claim-expired, pending");
}

TEST_F(ServerTest, ForgottenTasksAreReadFromTheStore) {
  auto [id, run] = running();
  std::string artifact = R"({"storageType":"reference","expires":")" + format_time(env.now() + minutes(30)) +
                         R"(","contentType":"text/plain","url":"https://example.com/x"})";
  ASSERT_EQ(post(run_path(id) + "/artifacts/public%2Fx", artifact, &run).status, 200);
  ASSERT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 200);
  const_cast<state::State&>(server->state()).forget_resolved(0, server->state().last_commit());
  ASSERT_FALSE(server->state().table<state::Task>().find(id));
  EXPECT_EQ(runs(id), "completed completed");
  EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 200) << "repeating a report";
  EXPECT_EQ(get(run_path(id) + "/artifacts").at("/artifacts/0/name"), "public/x");
  EXPECT_EQ(get(task_path(TaskId::random(env))).status, 404);
}

TEST_F(ServerTest, AFailedCommitIsUndoneAndAnswered503) {
  TaskId id = create();
  store.lock()->fail_next(store::Outcome::failed);
  Answer failed = send(claim_call());
  EXPECT_EQ(failed.status, 503);
  EXPECT_EQ(failed.headers.get("retry-after"), "1");
  EXPECT_NE(failed.at("/message").find("nothing was changed: no space left"), std::string::npos) << failed.text;
  EXPECT_EQ(get("/v1/ready").status, 503);
  EXPECT_EQ(runs(id), "pending");
  claim(id);
  EXPECT_EQ(get("/v1/ready").status, 200);
}

TEST_F(ServerTest, ATaskWhoseCommitFailedMayBeCreatedAgain) {
  json::object definition = wire::task_json(env.now());
  TaskId id = TaskId::random(env);
  store.lock()->fail_next(store::Outcome::failed);
  EXPECT_EQ(put_task(id, definition).status, 503);
  EXPECT_EQ(get(task_path(id) + "/status").status, 404);
  definition["retries"] = 1;  // even another one
  EXPECT_EQ(put_task(id, definition).status, 200);
  EXPECT_EQ(get(task_path(id)).at("/retries"), "1");
}

TEST_F(ServerTest, WhatWasReadInAFailedCommitIsNotAnswered) {
  TaskId id = create();
  write_time = seconds(1);
  auto cancelling = begin({.method = Method::post, .target = task_path(id) + "/cancel", .body = "{}"});
  auto reading = begin({.target = task_path(id) + "/status"});
  store.lock()->fail_next(store::Outcome::failed);
  EXPECT_EQ(env.finish(cancelling).status, 503);
  EXPECT_EQ(env.finish(reading).status, 503) << "it saw the cancellation";
  EXPECT_EQ(runs(id), "pending");
}

TEST_F(ServerTest, AnswersWaitUntilTheyAreDurable) {
  write_time = seconds(2);
  Duration before = env.uptime();
  create();
  EXPECT_GE(env.uptime() - before, seconds(2));
}

TEST_F(ServerTest, AnUnknownOutcomeMakesTheServerReadItsStateAgain) {
  for (bool survives : {false, true}) {
    json::object definition = wire::task_json(env.now());
    TaskId id = TaskId::random(env);
    store.lock()->fail_next(store::Outcome::unknown, survives);
    EXPECT_EQ(put_task(id, definition).status, 503);
    env.advance(seconds(5));
    EXPECT_EQ(get(task_path(id) + "/status").status, survives ? 200 : 404);
    EXPECT_EQ(put_task(id, definition).status, 200) << "and it goes on";
  }
}

TEST_F(ServerTest, LongPollsDoNotHoldUpTheReadingAgain) {
  TaskId id = create();
  auto polling = begin({.method = Method::post,
                        .target = "/api/queue/v1/claim-work/prov/other",
                        .body = R"({"workerGroup":"group","workerId":"b"})"});
  store.lock()->fail_next(store::Outcome::unknown, false);
  EXPECT_EQ(send(claim_call()).status, 503);
  env.advance(seconds(3));
  EXPECT_TRUE(polling->done);
  EXPECT_EQ(runs(id), "pending");
  claim(id);
}

TEST_F(ServerTest, NodesPollForWhatIsNoLongerTheirs) {
  auto poll = [&](std::string holds, bool restarted = false) -> Ask {
    return {.method = Method::post,
            .target = "/v1/nodes/fN1SbArXTPSVFNUvaOlinQ/poll",
            .body = R"({"name":"box","taskQueueId":"prov/queue","workerGroup":"group","workerId":"worker","slots":2,)"
                    R"("memoryBytes":8589934592,"restarted":)" +
                    std::string(restarted ? "true" : "false") + ",\"holds\":[" + holds + "]}"};
  };
  EXPECT_EQ(send(poll("", true)).at("/cancel"), "[]");
  EXPECT_EQ(get("/v1/nodes").at("/nodes/0/name"), "box");
  auto [id, run] = running();
  std::string held = "{\"taskId\":\"" + id.to_string() + "\",\"runId\":0}";
  auto polling = begin(poll(held));
  env.advance(seconds(2));
  EXPECT_FALSE(polling->done);
  EXPECT_EQ(post(task_path(id) + "/cancel").status, 200);
  EXPECT_EQ(env.finish(polling).at("/cancel/0/taskId"), id.to_string());
}

TEST_F(ServerTest, ANodeThatFallsSilentLosesItsRuns) {
  send({.method = Method::post,
        .target = "/v1/nodes/fN1SbArXTPSVFNUvaOlinQ/poll",
        .body = R"({"name":"box","taskQueueId":"prov/queue","workerGroup":"group","workerId":"worker","slots":2,)"
                R"("memoryBytes":8589934592,"restarted":true})"});
  auto [id, run] = running();
  env.advance(seconds(10));
  EXPECT_EQ(runs(id), "running");
  env.advance(seconds(8));
  EXPECT_EQ(runs(id), "exception claim-expired, pending");
}

TEST_F(ServerTest, AClaimIsWokenWhenAnotherTaskIsFirstInLine) {
  send({.method = Method::post,
        .target = "/v1/nodes/fN1SbArXTPSVFNUvaOlinQ/poll",
        .body = R"({"name":"box","taskQueueId":"prov/queue","workerGroup":"group","workerId":"worker","slots":2,)"
                R"("memoryBytes":8589934592,"restarted":true})"});
  auto create_with = [&](std::string memory) {
    json::object definition = wire::task_json(env.now());
    definition["payload"].as_object()["resources"] = {{"memory", memory}};
    return create(definition);
  };
  claim(create_with("6144m"));
  create_with("6144m");  // does not fit now, and the next does not go before it
  TaskId small = create_with("64m");
  auto waiting = begin(claim_call());
  env.advance(milliseconds(100));
  EXPECT_FALSE(waiting->done);
  EXPECT_EQ(post(task_path(small) + "/priority", R"({"newPriority":"high"})").status, 200);
  env.advance(milliseconds(100));
  ASSERT_TRUE(waiting->done);
  EXPECT_EQ(env.finish(waiting).at("/tasks/0/status/taskId"), small.to_string());
}

TEST_F(ServerTest, StoppingEndsLongPolls) {
  auto waiting = begin(claim_call());
  Duration before = env.uptime();
  stop();
  EXPECT_TRUE(waiting->done);
  EXPECT_LT(env.uptime() - before, seconds(2));
}

}  // namespace
}  // namespace gantry::server
