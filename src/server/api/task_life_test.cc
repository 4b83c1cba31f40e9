// The queue's routes about one task: definitions, scheduling, reruns, dependencies, priorities
// (taskcluster.md 2.2-2.5).
#include <gtest/gtest.h>

#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct TaskLifeTest : testing::Test, ServerWorld {
  json::object definition(std::vector<TaskId> dependencies = {}) {
    json::object made = wire::task_json(env.now());
    json::array ids;
    for (TaskId id : dependencies) ids.emplace_back(id.to_string());
    made["dependencies"] = ids;
    return made;
  }
  Answer act(TaskId id, std::string_view verb, const std::vector<std::string>& scopes = {"*"}) {
    Ask ask{.method = Method::post, .target = task_path(id) + "/" + std::string(verb)};
    ask.authorized_scopes = scopes;
    return send(ask);
  }
  std::string state(TaskId id) { return get(task_path(id) + "/status").at("/status/state"); }
  void finish(TaskId id, std::string_view how = "completed") {
    wire::HawkCredentials run = claim(id);
    auto last = static_cast<int>(get(task_path(id) + "/status").json().at("status").at("runs").as_array().size()) - 1;
    Answer answer = post(run_path(id, last) + "/" + std::string(how), "{}", &run);
    EXPECT_EQ(answer.status, 200) << answer.text;
  }
};

TEST_F(TaskLifeTest, ADefinedTaskWaitsUntilItIsScheduled) {
  TaskId id = TaskId::random(env);
  std::string made = wire::text_of(definition());
  Answer defined = post(task_path(id) + "/define", made);
  ASSERT_EQ(defined.status, 200) << defined.text;
  EXPECT_EQ(defined.at("/status/state"), "unscheduled");
  EXPECT_EQ(defined.at("/status/runs"), "[]");
  EXPECT_EQ(post(task_path(id) + "/define", made).status, 200) << "again is fine";
  Answer scheduled = act(id, "schedule");
  EXPECT_EQ(scheduled.at("/status/state"), "pending");
  EXPECT_EQ(scheduled.at("/status/runs/0/reasonCreated"), "scheduled");
  EXPECT_EQ(act(id, "schedule").at("/status/state"), "pending") << "a no-op";
}

TEST_F(TaskLifeTest, ScopesForScheduleRerunAndCancel) {
  json::object made = definition();
  made["schedulerId"] = "sched";
  made["projectId"] = "proj";
  for (std::string verb : {"schedule", "rerun", "cancel"}) {
    TaskId id = create(made);
    std::string path = "sched/" + id.to_string() + "/" + id.to_string();
    EXPECT_EQ(act(id, verb, {"queue:" + verb + "-task:" + path}).status, 200);
    EXPECT_EQ(act(id, verb, {"queue:" + verb + "-task-in-project:proj"}).status, 200);
    EXPECT_EQ(act(id, verb, {"queue:" + verb + "-task", "assume:scheduler-id:sched/" + id.to_string()}).status, 200);
    EXPECT_EQ(act(id, verb, {"queue:" + verb + "-task"}).status, 403) << "half of the legacy pair";
    EXPECT_EQ(act(id, verb, {"queue:" + verb + "-task-in-project:other"}).status, 403);
    Answer refused = act(id, verb, {"queue:x"});
    EXPECT_NE(refused.at("/message").find("queue:" + verb + "-task-in-project:proj"), std::string::npos);
    EXPECT_EQ(act(TaskId::random(env), verb, {"queue:x"}).status, 404) << "what is not there needs no scopes";
  }
}

TEST_F(TaskLifeTest, ARerunGivesANewRunAndTheRetriesBack) {
  TaskId id = create();
  EXPECT_EQ(act(id, "rerun").at("/status/runs").find("rerun"), std::string::npos) << "a pending task is left alone";
  finish(id, "failed");
  Answer again = act(id, "rerun");
  EXPECT_EQ(again.at("/status/state"), "pending");
  EXPECT_EQ(again.at("/status/runs/1/reasonCreated"), "rerun");
  for (int run = 2; run <= 50; ++run) {
    finish(id, "failed");
    if (run < 50) ASSERT_EQ(act(id, "rerun").status, 200) << run;
  }
  EXPECT_EQ(get(task_path(id) + "/status").json().at("status").at("runs").as_array().size(), 50u);
  Answer refused = act(id, "rerun");
  EXPECT_EQ(refused.status, 409) << refused.text;
  EXPECT_EQ(refused.at("/code"), "RequestConflict");
}

TEST_F(TaskLifeTest, AfterItsDeadlineATaskIsLeftAlone) {
  TaskId id = create();
  env.advance(hours(1) + seconds(2));
  EXPECT_EQ(act(id, "rerun").status, 409);
  EXPECT_EQ(act(id, "schedule").status, 409);
  EXPECT_EQ(post(task_path(id) + "/priority", R"({"newPriority":"high"})").status, 409);
}

TEST_F(TaskLifeTest, DependenciesReleaseWhoWaits) {
  TaskId first = create();
  TaskId second = create();
  TaskId after = create(definition({first, second}));
  EXPECT_EQ(state(after), "unscheduled");
  finish(first);
  EXPECT_EQ(state(after), "unscheduled");
  finish(second);
  EXPECT_EQ(state(after), "pending");
}

TEST_F(TaskLifeTest, AFailedDependencyReleasesOnlyWhoTakesAnyOutcome) {
  TaskId failing = create();
  TaskId strict = create(definition({failing}));
  json::object any = definition({failing});
  any["requires"] = "all-resolved";
  TaskId lenient = create(any);
  finish(failing, "failed");
  EXPECT_EQ(state(strict), "unscheduled");
  EXPECT_EQ(state(lenient), "pending");
  EXPECT_EQ(act(strict, "schedule").at("/status/state"), "pending");
}

TEST_F(TaskLifeTest, DependenciesThatAreNotInMemoryCount) {
  adjust = [](ServerSettings& settings) { settings.resolved_in_memory_max = 0; };
  restart();
  TaskId done = create();
  finish(done);
  TaskId failed = create();
  finish(failed, "failed");
  restart();
  EXPECT_EQ(state(create(definition({done}))), "pending");
  EXPECT_EQ(state(create(definition({done, failed}))), "unscheduled");
  Answer refused = put_task(TaskId::random(env), definition({TaskId::random(env)}));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.at("/code"), "InputError");
}

TEST_F(TaskLifeTest, WhatWaitsSurvivesARestart) {
  TaskId first = create();
  TaskId after = create(definition({first}));
  restart();
  EXPECT_EQ(state(after), "unscheduled");
  finish(first);
  EXPECT_EQ(state(after), "pending");
}

TEST_F(TaskLifeTest, DependentsAreListedInPages) {
  TaskId first = create();
  std::set<std::string> made;
  for (int i = 0; i < 5; ++i) made.insert(create(definition({first})).to_string());
  std::set<std::string> seen;
  std::string more = "?limit=2";
  for (int page = 0; page < 3; ++page) {
    Answer answer = get(task_path(first) + "/dependents" + more);
    ASSERT_EQ(answer.status, 200) << answer.text;
    EXPECT_EQ(answer.at("/taskId"), first.to_string());
    for (const auto& task : answer.json().at("tasks").as_array()) {
      seen.insert(std::string(task.at("status").at("taskId").as_string()));
      EXPECT_EQ(task.at("task").at("dependencies").at(0).as_string(), first.to_string());
    }
    EXPECT_EQ(answer.json().as_object().contains("continuationToken"), page < 2) << answer.text;
    if (page < 2) more = "?limit=2&continuationToken=" + answer.at("/continuationToken");
  }
  EXPECT_EQ(seen, made);
  EXPECT_EQ(get(task_path(TaskId::random(env)) + "/dependents").status, 404);
  EXPECT_EQ(send({.target = task_path(first) + "/dependents", .as = nullptr}).status, 403);
}

TEST_F(TaskLifeTest, ManyDependentsAreAllReleased) {
  TaskId first = create();
  std::vector<TaskId> waiting;
  for (int i = 0; i < 250; ++i) waiting.push_back(create(definition({first})));
  finish(first);
  env.advance(seconds(5));
  for (TaskId id : waiting) EXPECT_EQ(state(id), "pending");
}

TEST_F(TaskLifeTest, AChangedPriorityShowsAndCounts) {
  TaskId older = create();
  TaskId newer = create();
  Answer changed = post(task_path(newer) + "/priority", R"({"newPriority":"high"})");
  ASSERT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.at("/status/priority"), "high");
  EXPECT_EQ(get(task_path(newer)).at("/priority"), "high") << "the definition shows it too";
  EXPECT_EQ(get(task_path(older)).at("/priority"), "lowest");
  Answer claimed = send(claim_call());
  EXPECT_EQ(claimed.at("/tasks/0/status/taskId"), newer.to_string());
  EXPECT_EQ(claimed.at("/tasks/0/task/priority"), "high");
  EXPECT_EQ(post(task_path(newer) + "/priority", R"({"newPriority":"normal"})").at("/code"), "InputValidationError");
  EXPECT_EQ(post(task_path(newer) + "/priority", R"({})").at("/code"), "InputValidationError");
  Ask ask{.method = Method::post, .target = task_path(older) + "/priority", .body = R"({"newPriority":"low"})"};
  ask.authorized_scopes = {"queue:change-task-priority-in-queue:prov/queue"};
  EXPECT_EQ(send(ask).status, 200);
  ask.authorized_scopes = {"queue:change-task-priority:" + older.to_string()};
  EXPECT_EQ(send(ask).status, 200);
  ask.authorized_scopes = {"queue:change-task-priority-in-queue:prov/other"};
  EXPECT_EQ(send(ask).status, 403);
}

TEST_F(TaskLifeTest, ManyTasksAtOnce) {
  TaskId first = create();
  TaskId second = create();
  std::string body = "{\"taskIds\":[\"" + second.to_string() + "\",\"" + TaskId::random(env).to_string() + "\",\"" +
                     first.to_string() + "\",\"" + second.to_string() + "\"]}";
  Answer statuses = post("/api/queue/v1/tasks/status", body);
  ASSERT_EQ(statuses.status, 200) << statuses.text;
  EXPECT_EQ(statuses.json().at("statuses").as_array().size(), 2u) << "unknown ones are left out, others come once";
  EXPECT_EQ(statuses.at("/statuses/0/taskId"), second.to_string());
  EXPECT_EQ(statuses.at("/statuses/0/status/state"), "pending");
  Answer tasks = post("/api/queue/v1/tasks?limit=1", body);
  EXPECT_EQ(tasks.at("/tasks/0/task/metadata/name"), "a test");
  Answer rest = post("/api/queue/v1/tasks?continuationToken=" + tasks.at("/continuationToken"), body);
  EXPECT_EQ(rest.at("/tasks/0/taskId"), first.to_string());
  EXPECT_FALSE(rest.json().as_object().contains("continuationToken"));
  Ask ask{.method = Method::post, .target = "/api/queue/v1/tasks/status", .body = body};
  ask.authorized_scopes = {"queue:status:" + first.to_string()};
  EXPECT_EQ(send(ask).status, 403) << "for each of them";
  EXPECT_EQ(post("/api/queue/v1/tasks", R"({"taskIds":[1]})").at("/code"), "InputValidationError");
  EXPECT_EQ(post("/api/queue/v1/tasks", "{}").text, "{\"tasks\":[]}");
  EXPECT_EQ(post("/api/queue/v1/tasks?continuationToken=nonsense", body).at("/code"), "InvalidRequestArguments");
}

TEST_F(TaskLifeTest, CreationNeedsEveryScope) {
  json::object made = definition();
  made["scopes"] = json::array{"give:this"};
  made["routes"] = json::array{"r.one"};
  made["priority"] = "medium";
  made["projectId"] = "proj";
  made["schedulerId"] = "sched";
  std::vector<std::string> all = {"give:*", "queue:route:r.one", "queue:create-task:project:proj",
                                  "queue:scheduler-id:sched", "queue:create-task:medium:prov/queue"};
  auto attempt = [&](const std::vector<std::string>& scopes) {
    Ask ask{.method = Method::put, .target = task_path(TaskId::random(env)), .body = wire::text_of(made)};
    ask.authorized_scopes = scopes;
    return send(ask);
  };
  EXPECT_EQ(attempt(all).status, 200);
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto fewer = all;
    fewer[i] = "x";
    EXPECT_EQ(attempt(fewer).status, 403) << all[i];
  }
  all.back() = "queue:create-task:highest:prov/queue";
  EXPECT_EQ(attempt(all).status, 200) << "a higher priority will do";
  all.back() = "queue:create-task:low:prov/queue";
  EXPECT_EQ(attempt(all).status, 403);
}

TEST_F(TaskLifeTest, TheOldBaseAnswersToo) {
  TaskId id = create();
  EXPECT_EQ(get("/queue/v1/task/" + id.to_string() + "/status").at("/status/taskId"), id.to_string());
  EXPECT_EQ(get("/queue/v1/ping").status, 200);
}

TEST_F(TaskLifeTest, AnExplanationSaysWhatATaskWaitsFor) {
  TaskId first = create();
  TaskId after = create(definition({first}));
  Answer pending = get("/v1/tasks/" + first.to_string() + "/explain");
  ASSERT_EQ(pending.status, 200) << pending.text;
  EXPECT_EQ(pending.at("/state"), "pending");
  EXPECT_EQ(pending.at("/line/ahead"), "0");
  EXPECT_EQ(pending.at("/line/length"), "1");
  EXPECT_FALSE(pending.at("/summary").empty());
  Answer unscheduled = get("/v1/tasks/" + after.to_string() + "/explain");
  EXPECT_EQ(unscheduled.at("/waitsFor/tasks/0/taskId"), first.to_string());
  EXPECT_EQ(unscheduled.at("/waitsFor/tasks/0/state"), "pending");
  finish(first, "failed");
  EXPECT_EQ(get("/v1/tasks/" + after.to_string() + "/explain").at("/waitsFor/tasks/0/state"), "failed");
  EXPECT_EQ(get("/v1/tasks/" + first.to_string() + "/explain").at("/lastClaim/worker"), "group/worker");
  EXPECT_EQ(get("/v1/tasks/" + TaskId::random(env).to_string() + "/explain").status, 404);
}

}  // namespace
}  // namespace gantry::server
