#include "server/expiry.h"

#include <gtest/gtest.h>

#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct ExpiryTest : testing::Test, ServerWorld {
  ExpiryTest() {
    adjust = [](ServerSettings& settings) { settings.expiry.period = minutes(10); };
    restart();
  }
  json::object short_lived() {
    json::object made = wire::task_json(env.now());
    made["expires"] = format_time(env.now() + hours(2));
    return made;
  }
  TaskId completed(const json::object& definition) {
    TaskId id = create(definition);
    wire::HawkCredentials run = claim(id);
    EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 200);
    return id;
  }
  /// Rows of a table that are stored now.
  std::size_t rows(state::TableId table) { return store.lock()->scan(table, nullptr, 100'000).size(); }
  /// A stored artifact of type s3 with its bytes.
  void upload(TaskId id, const wire::HawkCredentials& run, Duration life) {
    std::string body = R"({"storageType":"s3","contentType":"text/plain","expires":")" + format_time(env.now() + life);
    Answer made = post(run_path(id) + "/artifacts/public/x", body + "\"}", &run);
    ASSERT_EQ(made.status, 200) << made.text;
    std::string url = made.at("/putUrl");
    std::string target = url.substr(url.find("/v1/"));
    Ask ask{.method = Method::put, .target = target, .body = "bytes", .as = nullptr};
    ask.headers = {{"content-type", "text/plain"}};
    ASSERT_EQ(send(ask).status, 200);
  }
  bool has_file(TaskId id) {
    try {
      env.run(objects->info("t/" + id.to_string() + "/0/public/x"));
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::not_found);
      return false;
    }
  }
};

TEST_F(ExpiryTest, TasksGoWithAllThatBelongsToThem) {
  TaskId gone = create(short_lived());
  wire::HawkCredentials run = claim(gone);
  upload(gone, run, hours(1));
  post(run_path(gone) + "/completed", "{}", &run);
  TaskId stays = completed(wire::task_json(env.now()));
  EXPECT_TRUE(has_file(gone));
  env.advance(minutes(50));
  EXPECT_EQ(get(task_path(gone)).status, 200);
  env.advance(hours(1) + minutes(25));
  EXPECT_EQ(get(task_path(gone)).status, 404);
  EXPECT_EQ(get(task_path(gone) + "/status").status, 404);
  EXPECT_EQ(get(task_path(stays)).status, 200);
  EXPECT_EQ(rows(state::TableId::task_id), 1u);
  EXPECT_EQ(rows(state::TableId::definition), 1u);
  EXPECT_EQ(rows(state::TableId::resolved_task), 1u);
  EXPECT_EQ(rows(state::TableId::artifact), 0u);
  EXPECT_FALSE(has_file(gone));
  EXPECT_EQ(put_task(gone, wire::task_json(env.now())).status, 200) << "its id may be used again";
  EXPECT_EQ(server->expiry().counts().tasks, 1u);
}

TEST_F(ExpiryTest, UnresolvedTasksStay) {
  json::object made = short_lived();
  TaskId id = create(made);
  env.advance(minutes(59));
  EXPECT_EQ(runs(id), "pending");
}

TEST_F(ExpiryTest, ArtifactsGoBeforeTheirTask) {
  auto [id, run] = running();
  upload(id, run, minutes(5));
  post(run_path(id) + "/completed", "{}", &run);
  env.advance(minutes(25));
  EXPECT_EQ(rows(state::TableId::artifact), 0u);
  EXPECT_FALSE(has_file(id));
  EXPECT_EQ(get(run_path(id) + "/artifacts/public/x").status, 404);
  EXPECT_EQ(get(task_path(id)).status, 200);
}

TEST_F(ExpiryTest, GroupsAndDependentsGoWithTheirTasks) {
  TaskGroupId group = TaskId::random(env);
  json::object made = short_lived();
  made["taskGroupId"] = group.to_string();
  TaskId first = completed(made);
  made["dependencies"] = json::array{first.to_string()};
  for (int i = 0; i < 130; ++i) completed(made);
  EXPECT_EQ(rows(state::TableId::dependent), 130u);
  EXPECT_EQ(rows(state::TableId::group_member), 131u);
  env.advance(hours(2) + minutes(45));
  EXPECT_EQ(rows(state::TableId::dependent), 0u);
  EXPECT_EQ(rows(state::TableId::group_member), 0u);
  EXPECT_EQ(rows(state::TableId::group), 0u);
  EXPECT_EQ(rows(state::TableId::resolved_task), 0u);
  EXPECT_EQ(get("/api/queue/v1/task-group/" + group.to_string()).status, 404);
}

TEST_F(ExpiryTest, AFileWithoutARecordIsRemovedOnceItWasSeenTwice) {
  auto body = std::make_shared<net::StringBody>("left by a crash");
  TaskId nobody = TaskId::random(env);
  env.run(objects->put("t/" + nobody.to_string() + "/0/public/x", {}, body, -1));
  env.advance(minutes(12));
  EXPECT_TRUE(has_file(nobody)) << "its record may be on its way";
  env.advance(minutes(30));
  EXPECT_FALSE(has_file(nobody));
  EXPECT_EQ(server->expiry().counts().files, 1u);
}

TEST_F(ExpiryTest, FilesWithARecordStay) {
  auto [id, run] = running();
  upload(id, run, hours(1));
  env.advance(minutes(50));
  EXPECT_GE(server->expiry().counts().sweeps, 3u);
  EXPECT_TRUE(has_file(id));
}

TEST_F(ExpiryTest, WorkersThatNobodyHearsOfGo) {
  std::string body = "{\"expires\":\"" + format_time(env.now() + hours(1)) + "\"}";
  std::string target = "/api/queue/v1/provisioners/prov/worker-types/queue/group/worker";
  ASSERT_EQ(send({.method = Method::put, .target = target, .body = body}).status, 200);
  env.advance(minutes(55));
  EXPECT_EQ(rows(state::TableId::worker), 1u);
  env.advance(minutes(20));
  EXPECT_EQ(rows(state::TableId::worker), 0u);
  EXPECT_EQ(rows(state::TableId::task_queue), 1u) << "queues stay for days";
}

TEST_F(ExpiryTest, AFullDiskIsTriedAgainWithTheNextSweep) {
  TaskId id = completed(short_lived());
  env.advance(hours(2) - minutes(1));
  store.lock()->fail_next(store::Outcome::failed);
  env.advance(minutes(30));
  EXPECT_EQ(get(task_path(id)).status, 404);
}

TEST(StoredExpiry, IsReadWithoutParsing) {
  EXPECT_EQ(stored_expiry(R"({"v":1,"expires":5,"x":1})"), time_from_ms(5));
  EXPECT_EQ(stored_expiry(R"({"tags":{"expires":"x"},"expires":7})"), time_from_ms(7));
  EXPECT_EQ(stored_expiry(R"({"note":"\"expires\":3","expires":8})"), time_from_ms(8));
  EXPECT_EQ(stored_expiry("{}"), Time());
}

}  // namespace
}  // namespace gantry::server
