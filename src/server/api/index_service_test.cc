// The index over HTTP, and tasks that get into it by their routes.
#include <gtest/gtest.h>

#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct IndexServiceTest : testing::Test, ServerWorld {
  static constexpr const char* base = "/api/index/v1";

  Answer insert(const std::string& path, TaskId task, double rank = 0, std::string data = "{}") {
    json::object body{{"taskId", task.to_string()},
                      {"rank", rank},
                      {"data", value_or_throw(parse_json(data))},
                      {"expires", format_time(env.now() + days(1))}};
    return send({.method = Method::put, .target = base + ("/task/" + path), .body = wire::text_of(body)});
  }
  Answer find(const std::string& path) { return get(base + ("/task/" + path)); }
  /// Those who hold one scope.
  Answer with_scope(Ask ask, std::string scope) {
    ask.authorized_scopes = {std::move(scope)};
    return send(std::move(ask));
  }
  /// The members of a listing, each page asked for with this limit: "a b | c".
  std::string names(const std::string& what, const std::string& space, int limit) {
    std::string text;
    std::string token;
    for (int page = 0; page < 20; ++page) {
      Answer answer = get(std::string(base) + "/" + what + "/" + space + "?limit=" + std::to_string(limit) +
                          (token.empty() ? "" : "&continuationToken=" + token));
      if (answer.status != 200) return answer.text;
      json::value document = answer.json();
      for (const auto& one : document.at(what).as_array()) {
        text += std::string(one.at("namespace").as_string()) + " ";
      }
      if (!document.as_object().contains("continuationToken")) return text;
      token = document.at("continuationToken").as_string();
      text += "| ";
    }
    return text;
  }
  /// A task that asks for the index, completed.
  TaskId completed(json::array routes, json::value extra = json::object()) {
    json::object definition = wire::task_json(env.now());
    definition["routes"] = std::move(routes);
    definition["extra"] = std::move(extra);
    TaskId id = create(definition);
    wire::HawkCredentials run = claim(id);
    EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 200);
    return id;
  }
};

TEST_F(IndexServiceTest, WhatIsInsertedIsFound) {
  TaskId task = TaskId::random(env);
  Answer inserted = insert("a.b.c", task, 4.5, R"({"y":1,"x":[true]})");
  ASSERT_EQ(inserted.status, 200) << inserted.text;
  Answer found = find("a.b.c");
  EXPECT_EQ(found.text, inserted.text);
  EXPECT_EQ(found.at("/namespace"), "a.b.c");
  EXPECT_EQ(found.at("/taskId"), task.to_string());
  EXPECT_EQ(found.at("/rank"), "4.5E0");
  EXPECT_EQ(found.at("/data"), R"({"x":[true],"y":1})");
  EXPECT_EQ(find("a.b").status, 404);
  EXPECT_EQ(find("a..b").status, 400);
}

TEST_F(IndexServiceTest, RanksDecideAlsoAfterARestart) {
  TaskId first = TaskId::random(env);
  insert("a.b", first, 5);
  restart();
  EXPECT_EQ(insert("a.b", TaskId::random(env), 4).at("/taskId"), first.to_string());
  TaskId second = TaskId::random(env);
  EXPECT_EQ(insert("a.b", second, 5).at("/taskId"), second.to_string());
  restart();
  EXPECT_EQ(find("a.b").at("/taskId"), second.to_string());
}

TEST_F(IndexServiceTest, ExpiredAndDeletedEntriesAreNotFound) {
  insert("a.b", TaskId::random(env));
  insert("a.c", TaskId::random(env));
  EXPECT_EQ(send({.method = Method::delete_, .target = std::string(base) + "/task/a.b"}).text, "{}");
  EXPECT_EQ(send({.method = Method::delete_, .target = std::string(base) + "/task/a.b"}).status, 200);
  EXPECT_EQ(find("a.b").status, 404);
  EXPECT_EQ(find("a.c").status, 200);
  env.advance(days(1));
  EXPECT_EQ(find("a.c").status, 404);
  EXPECT_EQ(names("tasks", "a", 10), "");
}

TEST_F(IndexServiceTest, InputIsChecked) {
  auto put = [&](std::string body) {
    return send({.method = Method::put, .target = std::string(base) + "/task/a.b", .body = std::move(body)}).status;
  };
  std::string task = R"("taskId":")" + TaskId::random(env).to_string() + "\",";
  std::string rest = R"("data":{},"expires":"2026-12-01T00:00:00Z")";
  EXPECT_EQ(put("{" + task + "\"rank\":0," + rest + "}"), 200);
  EXPECT_EQ(put("{" + task + rest + "}"), 400);
  EXPECT_EQ(put("{\"rank\":0," + rest + "}"), 400);
  EXPECT_EQ(put("{\"taskId\":\"x\",\"rank\":0," + rest + "}"), 400);
  EXPECT_EQ(put("{" + task + "\"rank\":0,\"more\":0," + rest + "}"), 400);
  EXPECT_EQ(put("{" + task + R"("rank":0,"data":[],"expires":"2026-12-01T00:00:00Z"})"), 400);
  auto with_data = [&](std::size_t bytes) {
    std::string data = "{\"x\":\"" + std::string(bytes - 8, 'x') + "\"}";
    return put("{" + task + "\"rank\":0,\"data\":" + data + ",\"expires\":\"2026-12-01T00:00:00Z\"}");
  };
  EXPECT_EQ(with_data(index::data_bytes_max), 200);
  EXPECT_EQ(with_data(index::data_bytes_max + 1), 400);
}

TEST_F(IndexServiceTest, ListingsShowWhatIsDirectlyBelowInPages) {
  for (const char* path : {"a.b.c", "a.b.d", "a.b-x.e", "a.f", "a.g", "h", "a.b.c.deeper"}) {
    insert(path, TaskId::random(env));
  }
  EXPECT_EQ(names("tasks", "a", 10), "a.f a.g ");
  EXPECT_EQ(names("tasks", "a.b", 10), "a.b.c a.b.d ");
  EXPECT_EQ(names("tasks", "a.b", 1), "a.b.c | a.b.d | ");
  EXPECT_EQ(names("tasks", "", 10), "h ");
  EXPECT_EQ(names("namespaces", "", 10), "a ");
  EXPECT_EQ(names("namespaces", "a", 10), "a.b a.b-x ");
  EXPECT_EQ(names("namespaces", "a", 1), "a.b | a.b-x | ");
  EXPECT_EQ(names("namespaces", "a.b", 10), "a.b.c ");
  EXPECT_EQ(get(std::string(base) + "/namespaces").at("/namespaces/0/name"), "a");
  EXPECT_EQ(post(std::string(base) + "/tasks/a").json(), get(std::string(base) + "/tasks/a").json());
  EXPECT_EQ(post(std::string(base) + "/namespaces/").json(), get(std::string(base) + "/namespaces").json());
  for (const char* bad : {"?limit=0", "?limit=x", "?continuationToken=!"}) {
    EXPECT_EQ(get(base + ("/tasks/a" + std::string(bad))).status, 400) << bad;
  }
}

TEST_F(IndexServiceTest, SeveralAtOnce) {
  insert("a.b", TaskId::random(env));
  insert("a.c", TaskId::random(env));
  std::string target = std::string(base) + "/tasks/indexes";
  Answer all = post(target, R"({"indexes":["a.c","not there","a.x","a.b","a.c"]})");
  EXPECT_EQ(all.at("/tasks/0/namespace"), "a.c");
  EXPECT_EQ(all.at("/tasks/1/namespace"), "a.b");
  EXPECT_EQ(all.json().at("tasks").as_array().size(), 2u);
  EXPECT_FALSE(all.json().as_object().contains("continuationToken"));
  Answer first = post(target + "?limit=1", R"({"indexes":["a.c","a.b"]})");
  EXPECT_EQ(first.at("/tasks/0/namespace"), "a.c");
  Answer second =
      post(target + "?limit=1&continuationToken=" + first.at("/continuationToken"), R"({"indexes":["a.c","a.b"]})");
  EXPECT_EQ(second.at("/tasks/0/namespace"), "a.b");
  Ask ask{.method = Method::post, .target = target, .body = R"({"indexes":["a.c","a.b"]})"};
  EXPECT_EQ(with_scope(ask, "index:find-task:a.*").status, 200);
  EXPECT_EQ(with_scope(ask, "index:find-task:a.b").status, 403);
}

TEST_F(IndexServiceTest, ScopesAreNeeded) {
  insert("a.b", TaskId::random(env));
  Ask find_one{.target = std::string(base) + "/task/a.b"};
  EXPECT_EQ(with_scope(find_one, "index:find-task:a.b").status, 200);
  EXPECT_EQ(with_scope(find_one, "index:find-task:a.c").status, 403);
  Ask list{.target = std::string(base) + "/tasks/a"};
  EXPECT_EQ(with_scope(list, "index:list-tasks:a").status, 200);
  EXPECT_EQ(with_scope(list, "index:list-namespaces:a").status, 403);
  Ask erase{.method = Method::delete_, .target = std::string(base) + "/task/a.b"};
  EXPECT_EQ(with_scope(erase, "index:insert-task:a.b").status, 403);
  EXPECT_EQ(with_scope(erase, "index:delete-task:a.b").status, 200);
  Ask put{.method = Method::put, .target = std::string(base) + "/task/a.b", .body = "{}"};
  EXPECT_EQ(with_scope(put, "index:find-task:*").status, 403);
}

TEST_F(IndexServiceTest, ACompletedTaskIsIndexedByItsRoutes) {
  TaskId id = completed({"index.proj.latest", "index.proj.rev.1", "other.route"},
                        {{"index", {{"rank", 7}, {"data", {{"k", "v"}}}}}});
  env.settle();
  Answer found = find("proj.latest");
  EXPECT_EQ(found.at("/taskId"), id.to_string()) << found.text;
  EXPECT_EQ(found.at("/data"), R"({"k":"v"})");
  EXPECT_EQ(find("proj.rev.1").at("/taskId"), id.to_string());
  EXPECT_EQ(names("namespaces", "", 10), "proj ");
  EXPECT_EQ(store.lock()->scan(state::TableId::index_intent, nullptr, 10).size(), 0u);
}

TEST_F(IndexServiceTest, AFailedTaskIsNotIndexed) {
  json::object definition = wire::task_json(env.now());
  definition["routes"] = json::array{"index.proj.latest"};
  TaskId id = create(definition);
  wire::HawkCredentials run = claim(id);
  EXPECT_EQ(post(run_path(id) + "/failed", "{}", &run).status, 200);
  env.advance(seconds(5));
  EXPECT_EQ(find("proj.latest").status, 404);
}

TEST_F(IndexServiceTest, ACrashBetweenCompletionAndIndexLosesNothing) {
  // As a crash leaves it: the task completed, the wish stored, nothing indexed.
  TaskId id = completed({"index.proj.latest"}, {{"index", {{"rank", 1}}}});
  env.settle();
  send({.method = Method::delete_, .target = std::string(base) + "/task/proj.latest"});
  stop();
  {
    store::MemoryStore opened(disk, [](std::move_only_function<void()> work) { work(); });
    auto tasks = opened.scan(state::TableId::resolved_task, nullptr, 10);
    ASSERT_EQ(tasks.size(), 1u);
    auto wish = std::make_shared<const std::string>("{\"v\":1,\"task\":\"" + id.to_string() + "\"}");
    store::Batch batch;
    batch.writes.push_back({state::TableId::index_intent, tasks[0].key, wish});
    batch.writes.push_back({state::TableId::index_intent, {tasks[0].key.sequence + 1000, {}}, wish});  // of no task
    opened.write(std::move(batch), [](store::WriteResult) {});
    env.settle();
  }
  start();
  env.advance(seconds(2));
  EXPECT_EQ(find("proj.latest").at("/taskId"), id.to_string());
  EXPECT_EQ(store.lock()->scan(state::TableId::index_intent, nullptr, 10).size(), 0u);
}

TEST_F(IndexServiceTest, AnArtifactIsFoundThroughTheIndex) {
  auto [id, run] = running();
  json::object request{{"storageType", "reference"},
                       {"contentType", "text/plain"},
                       {"url", "https://example.com/x"},
                       {"expires", format_time(env.now() + minutes(30))}};
  ASSERT_EQ(post(run_path(id) + "/artifacts/public/deep/x", wire::text_of(request), &run).status, 200);
  insert("a.b", id);
  for (const char* name : {"public/deep/x", "public%2Fdeep%2Fx"}) {
    Answer found = send({.target = base + std::string("/task/a.b/artifacts/") + name, .as = nullptr});
    EXPECT_EQ(found.status, 303) << found.text;
    EXPECT_EQ(found.headers.get("location"), "https://example.com/x");
  }
  EXPECT_EQ(get(std::string(base) + "/task/a.b/artifacts/public/none").status, 404);
  EXPECT_EQ(get(std::string(base) + "/task/a.c/artifacts/public/deep/x").status, 404);
  EXPECT_EQ(send({.target = std::string(base) + "/task/a.b/artifacts/private/x", .as = nullptr}).status, 403);
}

TEST_F(IndexServiceTest, SweepingRemovesWhatExpired) {
  for (int i = 0; i < 30; ++i) insert("a.b.n" + std::to_string(i), TaskId::random(env));
  EXPECT_EQ(store.lock()->scan(state::TableId::index_task, nullptr, 100).size(), 30u);
  env.advance(days(3));
  insert("a.new", TaskId::random(env));
  struct Sweep {
    static Async<bool> run(Services& services) {
      SweepCursor tasks;
      SweepCursor namespaces;
      co_return co_await sweep_index(services, tasks, namespaces);
    }
  };
  EXPECT_TRUE(env.finish(env.start(Sweep::run(server->services()))));
  EXPECT_EQ(store.lock()->scan(state::TableId::index_task, nullptr, 100).size(), 1u);
  EXPECT_EQ(store.lock()->scan(state::TableId::index_namespace, nullptr, 100).size(), 1u);
  EXPECT_EQ(find("a.new").status, 200);
}

struct PurgeCacheTest : testing::Test, ServerWorld {
  static constexpr const char* base = "/api/purge-cache/v1/purge-cache/";
};

TEST_F(PurgeCacheTest, WorkersAreToldForADay) {
  for (const char* queue : {"prov%2Fqueue", "prov/queue"}) {
    Answer purged = post(base + std::string(queue), R"({"cacheName":"level-1"})");
    EXPECT_EQ(purged.status, 204) << purged.text;
    EXPECT_EQ(purged.text, "");
  }
  std::string at = format_time(env.now());
  for (const char* queue : {"prov%2Fqueue", "prov/queue"}) {
    Answer requests = get(base + std::string(queue) + "?since=2026-01-01T00:00:00Z");
    EXPECT_EQ(requests.at("/requests/0/provisionerId"), "prov");
    EXPECT_EQ(requests.at("/requests/0/workerType"), "queue");
    EXPECT_EQ(requests.at("/requests/0/cacheName"), "level-1");
    EXPECT_EQ(requests.json().at("requests").as_array().size(), 1u);
  }
  restart();
  EXPECT_EQ(get(base + std::string("prov/queue")).at("/requests/0/cacheName"), "level-1");
  env.advance(seconds(1));
  EXPECT_EQ(get(base + std::string("prov/queue?since=") + format_time(env.now())).text, R"({"requests":[]})");
  EXPECT_EQ(get(base + std::string("prov/other")).text, R"({"requests":[]})");
  EXPECT_EQ(get(base + std::string("prov/queue?since=yesterday")).status, 400);
  env.advance(days(1));
  EXPECT_EQ(get(base + std::string("prov/queue")).text, R"({"requests":[]})");
}

TEST_F(PurgeCacheTest, AllInPages) {
  for (const char* cache : {"c", "a", "b"}) {
    post(base + std::string("prov/queue"), std::string("{\"cacheName\":\"") + cache + "\"}");
  }
  Answer first = get(base + std::string("list?limit=2"));
  EXPECT_EQ(first.at("/requests/0/cacheName"), "a");
  EXPECT_EQ(first.at("/requests/1/cacheName"), "b");
  Answer second = get(base + std::string("list?limit=2&continuationToken=") + first.at("/continuationToken"));
  EXPECT_EQ(second.at("/requests/0/cacheName"), "c");
  EXPECT_FALSE(second.json().as_object().contains("continuationToken"));
  EXPECT_EQ(get(base + std::string("list?limit=0")).status, 400);
}

TEST_F(PurgeCacheTest, InputAndScopes) {
  EXPECT_EQ(post(base + std::string("noslash"), R"({"cacheName":"x"})").status, 400);
  EXPECT_EQ(post(base + std::string("prov/queue"), R"({"cacheName":""})").status, 400);
  EXPECT_EQ(post(base + std::string("prov/queue"), "{}").status, 400);
  EXPECT_EQ(post(base + std::string("prov/queue"), R"({"cacheName":"x","more":1})").status, 400);
  auto with = [&](Method method, std::string target, std::string scope) {
    Ask ask{.method = method, .target = base + std::move(target)};
    if (method == Method::post) ask.body = R"({"cacheName":"x"})";
    ask.authorized_scopes = {std::move(scope)};
    return send(std::move(ask)).status;
  };
  EXPECT_EQ(with(Method::post, "prov/queue", "purge-cache:prov/queue:x"), 204);
  EXPECT_EQ(with(Method::post, "prov/queue", "purge-cache:prov/queue:y"), 403);
  EXPECT_EQ(with(Method::get, "prov/queue", "purge-cache:purge-requests::prov/queue"), 200);
  EXPECT_EQ(with(Method::get, "prov/queue", "purge-cache:all-purge-requests"), 403);
  EXPECT_EQ(with(Method::get, "list", "purge-cache:all-purge-requests"), 200);
}

}  // namespace
}  // namespace gantry::server
