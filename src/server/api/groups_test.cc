// Task groups over HTTP (taskcluster.md 2.2).
#include <gtest/gtest.h>

#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct GroupsTest : testing::Test, ServerWorld {
  TaskGroupId group = TaskId::random(env);

  json::object member(std::string_view scheduler = "sched") {
    json::object made = wire::task_json(env.now());
    made["taskGroupId"] = group.to_string();
    made["schedulerId"] = scheduler;
    return made;
  }
  std::string path(std::string_view rest = "") const {
    return "/api/queue/v1/task-group/" + group.to_string() + std::string(rest);
  }
  std::string scope(const std::string& verb) const {
    return "queue:" + verb + "-task-group:sched/" + group.to_string();
  }
  Answer act(std::string_view rest, std::vector<std::string> scopes, std::string body = "") {
    Ask ask{.method = Method::post, .target = path(rest), .body = std::move(body)};
    ask.authorized_scopes = std::move(scopes);
    return send(ask);
  }
  std::string state(TaskId id) { return get(task_path(id) + "/status").at("/status/state"); }
  std::vector<std::string> listed(std::size_t limit) {
    std::vector<std::string> ids;
    std::string more = "?limit=" + std::to_string(limit);
    for (;;) {
      Answer answer = get(path("/list") + more);
      EXPECT_EQ(answer.status, 200) << answer.text;
      for (const auto& task : answer.json().at("tasks").as_array()) {
        ids.emplace_back(task.at("status").at("taskId").as_string());
        EXPECT_EQ(task.at("task").at("taskGroupId").as_string(), group.to_string());
      }
      if (!answer.json().as_object().contains("continuationToken")) return ids;
      more = "?limit=" + std::to_string(limit) + "&continuationToken=" + answer.at("/continuationToken");
    }
  }
};

TEST_F(GroupsTest, AGroupOfSeveralIsListedInOrderAndInPages) {
  std::vector<std::string> made;
  for (int i = 0; i < 7; ++i) made.push_back(create(member()).to_string());
  for (std::size_t limit : {1u, 3u, 7u, 8u}) EXPECT_EQ(listed(limit), made) << limit;
  Answer shown = get(path());
  EXPECT_EQ(shown.at("/schedulerId"), "sched");
  EXPECT_EQ(shown.at("/taskGroupId"), group.to_string());
  EXPECT_FALSE(shown.json().as_object().contains("sealed"));
  EXPECT_EQ(get("/v1/groups/" + group.to_string()).at("/unresolved"), "7");
  restart();
  EXPECT_EQ(listed(4), made);
}

TEST_F(GroupsTest, ATaskAloneIsAGroupToo) {
  TaskId id = create();
  std::string own = "/api/queue/v1/task-group/" + id.to_string();
  EXPECT_EQ(get(own).at("/schedulerId"), "-");
  Answer list = get(own + "/list");
  EXPECT_EQ(list.json().at("tasks").as_array().size(), 1u);
  EXPECT_FALSE(list.json().as_object().contains("continuationToken"));
  group = id;
  json::object second = member("-");
  TaskId later = create(second);
  EXPECT_EQ(listed(10), (std::vector<std::string>{id.to_string(), later.to_string()}));
}

TEST_F(GroupsTest, OneSchedulerAGroup) {
  create(member());
  Answer refused = put_task(TaskId::random(env), member("other"));
  EXPECT_EQ(refused.status, 409) << refused.text;
  adjust = [](ServerSettings& settings) { settings.resolved_in_memory_max = 0; };
  restart();
  EXPECT_EQ(put_task(TaskId::random(env), member("other")).status, 409) << "also if the group is not in memory";
  EXPECT_EQ(put_task(TaskId::random(env), member()).status, 200);
}

TEST_F(GroupsTest, ASealedGroupTakesNoMore) {
  create(member());
  EXPECT_EQ(act("/seal", {"queue:x"}).status, 403);
  Answer sealed = act("/seal", {scope("seal")});
  ASSERT_EQ(sealed.status, 200) << sealed.text;
  EXPECT_TRUE(parse_time(sealed.at("/sealed")));
  EXPECT_EQ(act("/seal", {scope("seal")}).at("/sealed"), sealed.at("/sealed")) << "again is fine";
  EXPECT_EQ(put_task(TaskId::random(env), member()).status, 409);
  EXPECT_EQ(get(path()).at("/sealed"), sealed.at("/sealed"));
  restart();
  EXPECT_EQ(put_task(TaskId::random(env), member()).status, 409);
}

TEST_F(GroupsTest, CancelNeedsASealedGroupAndCancelsAllOfIt) {
  std::vector<TaskId> tasks;
  for (int i = 0; i < 120; ++i) tasks.push_back(create(member()));
  Answer early = act("/cancel", {scope("cancel")});
  EXPECT_EQ(early.status, 409) << early.text;
  act("/seal", {scope("seal")});
  EXPECT_EQ(act("/cancel", {"queue:x"}).status, 403);
  Answer cancelled = act("/cancel", {scope("cancel")});
  ASSERT_EQ(cancelled.status, 200) << cancelled.text;
  EXPECT_EQ(cancelled.at("/taskGroupSize"), "120");
  EXPECT_EQ(cancelled.at("/cancelledCount"), "120");
  EXPECT_EQ(cancelled.json().at("taskIds").as_array().size(), 120u);
  env.advance(seconds(5));
  for (TaskId id : tasks) EXPECT_EQ(state(id), "exception");
  EXPECT_EQ(act("/cancel", {scope("cancel")}).at("/cancelledCount"), "0");
}

TEST_F(GroupsTest, LargeWorkGoesOnAfterARestart) {
  std::vector<TaskId> tasks;
  for (int i = 0; i < 300; ++i) tasks.push_back(create(member()));
  act("/seal", {scope("seal")});
  ASSERT_EQ(act("/cancel", {scope("cancel")}).status, 200);
  restart();
  env.advance(seconds(5));
  for (TaskId id : tasks) EXPECT_EQ(state(id), "exception");
}

TEST_F(GroupsTest, APriorityForAll) {
  TaskId done = create(member());
  wire::HawkCredentials run = claim(done);
  post(run_path(done) + "/completed", "{}", &run);
  TaskId first = create(member());
  TaskId second = create(member());
  std::vector<std::string> scopes = {"queue:change-task-group-priority:sched/" + group.to_string()};
  Answer changed = act("/priority", scopes, R"({"newPriority":"very-high"})");
  ASSERT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.at("/newPriority"), "very-high");
  EXPECT_EQ(changed.at("/tasksAffected"), "2");
  EXPECT_EQ(changed.json().at("taskIds").as_array().size(), 2u);
  for (TaskId id : {first, second}) EXPECT_EQ(get(task_path(id) + "/status").at("/status/priority"), "very-high");
  EXPECT_EQ(get(task_path(done) + "/status").at("/status/priority"), "lowest") << "a resolved one keeps its own";
  EXPECT_EQ(act("/priority", {"queue:x"}, R"({"newPriority":"low"})").status, 403);
  EXPECT_EQ(act("/priority", scopes, R"({"newPriority":"x"})").status, 400);
}

TEST_F(GroupsTest, AnUrgentTaskPullsWhatItWaitsFor) {
  TaskId first = create(member());
  TaskId other = create();
  json::object urgent = member();
  urgent["dependencies"] = json::array{first.to_string()};
  urgent["priority"] = "highest";
  create(urgent);
  Ask ask{.method = Method::put, .target = "/v1/groups/" + group.to_string() + "/pulls", .body = R"({"pulls":true})"};
  Answer answer = send(ask);
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.at("/pulls"), "true");
  env.advance(seconds(1));
  EXPECT_EQ(get("/v1/tasks/" + first.to_string() + "/explain").at("/pulledTo"), "highest");
  EXPECT_EQ(send(claim_call()).at("/tasks/0/status/taskId"), first.to_string());
  EXPECT_EQ(send(claim_call()).at("/tasks/0/status/taskId"), other.to_string());
}

TEST_F(GroupsTest, WhatIsNotThereIs404) {
  for (const char* rest : {"", "/list"}) EXPECT_EQ(get(path(rest)).status, 404);
  for (const char* rest : {"/seal", "/cancel"}) EXPECT_EQ(act(rest, {"*"}).status, 404);
  EXPECT_EQ(act("/priority", {"*"}, R"({"newPriority":"low"})").status, 404);
  EXPECT_EQ(get("/api/queue/v1/task-group/nonsense").at("/code"), "InvalidRequestArguments");
  create(member());
  EXPECT_EQ(send({.target = path(), .as = nullptr}).status, 403);
  EXPECT_EQ(send({.target = path("/list"), .as = nullptr}).status, 403);
}

}  // namespace
}  // namespace gantry::server
