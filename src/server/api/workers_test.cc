// Task queues and workers as people look at them, quarantine, and claims that may be asked for again.
#include <gtest/gtest.h>

#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct WorkersTest : testing::Test, ServerWorld {
  static constexpr auto type_path = "/api/queue/v1/provisioners/prov/worker-types/queue";
  static constexpr auto worker_path = "/api/queue/v1/provisioners/prov/worker-types/queue/workers/group/worker";

  Answer put(std::string target, std::string body, std::vector<std::string> scopes = {"*"}) {
    Ask ask{.method = Method::put, .target = std::move(target), .body = std::move(body)};
    ask.authorized_scopes = std::move(scopes);
    return send(ask);
  }
  Answer get_with(std::string target, std::string scope) {
    Ask ask{.target = std::move(target)};
    ask.authorized_scopes = {std::move(scope)};
    return send(ask);
  }
  Answer quarantine(Duration from_now) {
    return put(worker_path, "{\"quarantineUntil\":\"" + format_time(env.now() + from_now) + "\"}");
  }
  Answer claim_with(std::string token) {
    Ask ask = claim_call(2);
    ask.headers = {{"x-gantry-claim-token", std::move(token)}};
    return send(ask);
  }
};

TEST_F(WorkersTest, CountsAndListsOfAQueue) {
  TaskId running = create();
  claim(running);
  TaskId pending = create();
  TaskId urgent = create();
  post(task_path(urgent) + "/priority", R"({"newPriority":"high"})");
  for (std::string queue : {"prov/queue", "prov%2Fqueue"}) {
    std::string base = "/api/queue/v1/task-queues/" + queue;
    Answer counts = get(base + "/counts");
    EXPECT_EQ(counts.at("/pendingTasks"), "2");
    EXPECT_EQ(counts.at("/claimedTasks"), "1");
    EXPECT_EQ(counts.at("/workerType"), "queue");
    EXPECT_EQ(get("/api/queue/v1/pending/" + queue).at("/pendingTasks"), "2");
    Answer first = get(base + "/pending?limit=1");
    EXPECT_EQ(first.at("/tasks/0/taskId"), urgent.to_string()) << "in the order of their turn";
    EXPECT_EQ(first.at("/tasks/0/task/priority"), "high");
    Answer second = get(base + "/pending?limit=1&continuationToken=" + first.at("/continuationToken"));
    EXPECT_EQ(second.at("/tasks/0/taskId"), pending.to_string());
    EXPECT_FALSE(second.json().as_object().contains("continuationToken"));
    Answer claimed = get(base + "/claimed");
    EXPECT_EQ(claimed.at("/tasks/0/taskId"), running.to_string());
    EXPECT_EQ(claimed.at("/tasks/0/workerId"), "worker");
    EXPECT_TRUE(parse_time(claimed.at("/tasks/0/claimed")));
  }
  EXPECT_EQ(get("/api/queue/v1/pending-tasks/prov").json().at("tasks").as_array().size(), 2u);
  EXPECT_EQ(get("/api/queue/v1/task-queues/nothing/counts").status, 400);
  EXPECT_EQ(get("/api/queue/v1/task-queues/prov%2Fqueue/pending?continuationToken=x").status, 400);
}

TEST_F(WorkersTest, QueuesAreKnownOnceTheyAreUsed) {
  EXPECT_EQ(get("/api/queue/v1/task-queues/prov%2Fqueue").status, 404);
  create();
  json::object other = wire::task_json(env.now());
  other["taskQueueId"] = "prov/second";
  create(other);
  EXPECT_EQ(get("/api/queue/v1/task-queues/prov%2Fqueue").at("/stability"), "experimental");
  EXPECT_EQ(get("/api/queue/v1/task-queues/prov/queue").at("/taskQueueId"), "prov/queue");
  Answer first = get("/api/queue/v1/task-queues?limit=1");
  EXPECT_EQ(first.at("/taskQueues/0/taskQueueId"), "prov/queue");
  Answer second = get("/api/queue/v1/task-queues?continuationToken=" + first.at("/continuationToken"));
  EXPECT_EQ(second.at("/taskQueues/0/taskQueueId"), "prov/second");
  EXPECT_EQ(get("/api/queue/v1/provisioners").at("/provisioners/0/provisionerId"), "prov");
  EXPECT_EQ(get("/api/queue/v1/provisioners/prov").status, 200);
  EXPECT_EQ(get("/api/queue/v1/provisioners/other").status, 404);
  EXPECT_EQ(get("/api/queue/v1/provisioners/prov/worker-types").json().at("workerTypes").as_array().size(), 2u);
  EXPECT_EQ(get(type_path).at("/workerType"), "queue");
  EXPECT_EQ(get("/api/queue/v1/provisioners/prov/worker-types/other").status, 404);
}

TEST_F(WorkersTest, EachListNeedsItsScope) {
  create();
  EXPECT_EQ(send(claim_call()).status, 200);
  const std::string base = "/api/queue/v1/";
  const std::pair<std::string, std::string> reads[] = {
      {base + "pending/prov%2Fqueue", "queue:pending-count:prov/queue"},
      {base + "task-queues/prov%2Fqueue/pending", "queue:pending-list:prov/queue"},
      {base + "task-queues/prov%2Fqueue/claimed", "queue:claimed-list:prov/queue"},
      {base + "task-queues", "queue:list-task-queues"},
      {base + "task-queues/prov%2Fqueue", "queue:get-task-queue:prov/queue"},
      {base + "provisioners", "queue:list-provisioners"},
      {base + "provisioners/prov", "queue:get-provisioner:prov"},
      {base + "provisioners/prov/worker-types", "queue:list-worker-types:prov"},
      {type_path, "queue:get-worker-type:prov/queue"},
      {std::string(type_path) + "/workers", "queue:list-workers:prov/queue"},
      {worker_path, "queue:get-worker:prov/queue/group/worker"},
  };
  for (const auto& [target, scope] : reads) {
    EXPECT_EQ(get_with(target, scope).status, 200) << target;
    EXPECT_EQ(get_with(target, scope + "x").status, 403) << target;
  }
  EXPECT_EQ(get_with(base + "task-queues/prov%2Fqueue/counts", "queue:pending-count:prov/queue").status, 403);
}

TEST_F(WorkersTest, AWorkerIsSeenAtOnceAndAfterARestart) {
  EXPECT_EQ(get(worker_path).status, 404);
  auto [id, run] = running();
  Answer seen = get(worker_path);
  ASSERT_EQ(seen.status, 200) << seen.text;
  EXPECT_EQ(seen.at("/recentTasks/0/taskId"), id.to_string());
  EXPECT_EQ(seen.at("/workerGroup"), "group");
  EXPECT_EQ(seen.at("/quarantineDetails"), "[]");
  Answer list = get(std::string(type_path) + "/workers");
  EXPECT_EQ(list.at("/workers/0/latestTask/taskId"), id.to_string());
  restart();
  EXPECT_EQ(get(worker_path).at("/recentTasks/0/taskId"), id.to_string());
}

TEST_F(WorkersTest, AQuarantinedWorkerWaitsAndGetsNothing) {
  send(claim_call());
  Answer quarantined = quarantine(hours(1));
  ASSERT_EQ(quarantined.status, 200) << quarantined.text;
  EXPECT_EQ(quarantined.at("/quarantineDetails/0/clientId"), "root");
  EXPECT_EQ(quarantined.at("/quarantineDetails/0/quarantineInfo"), "[unspecified]");
  TaskId id = create();
  Duration before = env.uptime();
  EXPECT_EQ(send(claim_call()).text, "{\"tasks\":[]}");
  EXPECT_GE(env.uptime() - before, seconds(20)) << "no tight loop";
  EXPECT_EQ(post(run_path(id) + "/claim", R"({"workerGroup":"group","workerId":"worker"})").text, "{}");
  for (const auto& [value, count] : {std::pair("true", 1u), {"false", 0u}}) {
    Answer list = get(std::string(type_path) + "/workers?quarantined=" + value);
    EXPECT_EQ(list.json().at("workers").as_array().size(), count) << value;
  }
  EXPECT_EQ(get(std::string(type_path) + "/workers?quarantined=maybe").status, 400);
  quarantine(seconds(-1));
  EXPECT_EQ(send(claim_call()).at("/tasks/0/status/taskId"), id.to_string());
}

TEST_F(WorkersTest, AQuarantineThatBeginsWhileAClaimWaitsCounts) {
  auto waiting = begin(claim_call());
  env.advance(seconds(1));
  quarantine(hours(1));
  TaskId id = create();
  EXPECT_EQ(env.finish(waiting).text, "{\"tasks\":[]}");
  EXPECT_EQ(runs(id), "pending");
}

TEST_F(WorkersTest, QuarantineAndDeclareCheckWhatTheyAreGiven) {
  EXPECT_EQ(quarantine(hours(1)).status, 404) << "an unknown worker";
  std::string target = "/api/queue/v1/provisioners/prov/worker-types/queue/group/worker";
  std::string expires = format_time(env.now() + hours(2));
  std::string body = "{\"expires\":\"" + expires + "\"}";
  EXPECT_EQ(put(target, body, {"queue:declare-worker:prov/queue/group/worker"}).status, 403);
  Answer declared = put(target, body, {"queue:declare-worker:prov/queue/group/worker#expires"});
  ASSERT_EQ(declared.status, 200) << declared.text;
  EXPECT_EQ(declared.at("/expires"), expires);
  EXPECT_EQ(put(target, "{}").at("/code"), "InputValidationError");
  EXPECT_EQ(put(worker_path, "{}").at("/code"), "InputValidationError");
  std::string until = "{\"quarantineUntil\":\"" + format_time(env.now() + hours(1)) + "\",\"quarantineInfo\":\"";
  EXPECT_EQ(put(worker_path, until + std::string(4000, 'x') + "\"}").status, 200);
  EXPECT_EQ(put(worker_path, until + std::string(4001, 'x') + "\"}").status, 400);
  EXPECT_EQ(put(worker_path, until + "\"}", {"queue:quarantine-worker:prov/queue/group/other"}).status, 403);
}

TEST_F(WorkersTest, OneRunIsClaimedByName) {
  TaskId id = create();
  std::string me = R"({"workerGroup":"group","workerId":"worker"})";
  Answer claimed = post(run_path(id) + "/claim", me);
  ASSERT_EQ(claimed.status, 200) << claimed.text;
  EXPECT_EQ(claimed.at("/status/state"), "running");
  EXPECT_EQ(claimed.at("/task/metadata/name"), "a test");
  EXPECT_EQ(post(run_path(id) + "/claim", me).status, 200) << "the same worker again";
  EXPECT_EQ(post(run_path(id) + "/claim", R"({"workerGroup":"group","workerId":"other"})").status, 409);
  EXPECT_EQ(post(run_path(id, 1) + "/claim", me).status, 404);
  EXPECT_EQ(post(run_path(TaskId::random(env)) + "/claim", me).status, 404);
  EXPECT_EQ(post(run_path(id) + "/claim", "{}").at("/code"), "InputValidationError");
  auto run = credentials_in(claimed, "");
  EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 200);
  Ask ask{.method = Method::post, .target = run_path(create()) + "/claim", .body = me};
  ask.authorized_scopes = {"queue:claim-task:prov/queue"};
  EXPECT_EQ(send(ask).status, 403);
  ask.authorized_scopes.push_back("queue:worker-id:group/worker");
  EXPECT_EQ(send(ask).status, 200);
}

TEST_F(WorkersTest, AClaimThatIsAskedForAgainGetsTheSame) {
  TaskId first = create();
  TaskId second = create();
  create();
  Answer lost = claim_with("token-1");
  EXPECT_EQ(lost.json().at("tasks").as_array().size(), 2u);
  Answer again = claim_with("token-1");
  ASSERT_EQ(again.json().at("tasks").as_array().size(), 2u);
  std::set<std::string> ids = {again.at("/tasks/0/status/taskId"), again.at("/tasks/1/status/taskId")};
  EXPECT_EQ(ids, (std::set<std::string>{first.to_string(), second.to_string()}));
  EXPECT_EQ(again.at("/tasks/0/runId"), "0");
  lost.undelivered();  // the first answer's connection breaks only now
  env.settle();
  EXPECT_EQ(runs(first), "running") << "the second answer stands";
  auto run = credentials_in(again, "/tasks/0");
  EXPECT_EQ(post(run_path(*TaskId::parse(again.at("/tasks/0/status/taskId"))) + "/completed", "{}", &run).status, 200);
  EXPECT_EQ(claim_with("token-2").json().at("tasks").as_array().size(), 1u) << "another token: another claim";
  EXPECT_EQ(claim_with(std::string(64, 't')).status, 200);
  EXPECT_EQ(claim_with(std::string(65, 't')).at("/code"), "InvalidRequestArguments");
}

TEST_F(WorkersTest, ALostClaimIsFoundAgainAfterARestart) {
  TaskId id = create();
  claim_with("token");
  restart();
  EXPECT_EQ(claim_with("token").at("/tasks/0/status/taskId"), id.to_string());
}

}  // namespace
}  // namespace gantry::server
