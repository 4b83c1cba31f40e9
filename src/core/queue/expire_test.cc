// What goes when it expires, and what with it; object artifacts; explanations.
#include <gtest/gtest.h>

#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::Artifact;
using state::Change;
using state::Group;
using state::Key;
using state::ReasonResolved;
using state::StorageType;
using state::TableId;
using state::Task;
using testing_world::numbered_id;
using testing_world::QueueWorld;

struct ExpireTest : testing::Test, QueueWorld {
  ~ExpireTest() override { EXPECT_EQ(state::check_state(state), std::nullopt); }

  Expiry expire_once(TaskId id, std::vector<Key> rows = {}) {
    state::Transaction tx(state, now);
    Expiry result = expire_task(tx, id, rows);
    finish(tx);
    return result;
  }
  Result<const Artifact*> add(TaskId id, const std::string& name, StorageType type = StorageType::s3,
                              const std::string& target = "", Duration expires = hours(10)) {
    ArtifactRequest request;
    request.id = {id, 0, name};
    request.type = type;
    request.content_type = "text/plain";
    request.expires = created + expires;
    request.target = target;
    return decide([&](state::Transaction& tx) { return create_artifact(tx, request); });
  }
  Result<const Artifact*> finish_upload(TaskId id, const std::string& name, const std::string& upload) {
    return decide([&](state::Transaction& tx) { return finish_artifact(tx, {id, 0, name}, upload); });
  }
  Explanation why(TaskId id) const { return explain(state, task(id)); }
  bool erased(TableId table) const {
    return std::ranges::any_of(writes, [&](auto& write) { return write.table == table && !write.value; });
  }
  Time created = now;
};

TEST_F(ExpireTest, AnExpiredTaskGoesWithEverything) {
  TaskId root = create();
  TaskId id = create({.group = root});
  claim(2);
  ASSERT_TRUE(add(id, "public/a"));
  ASSERT_TRUE(report(id, 0, ReasonResolved::completed));
  Time expires = task(id).expires;
  std::uint64_t sequence = task(id).sequence;
  now = expires - Duration(1);
  EXPECT_EQ(expire_once(id), Expiry::not_yet);
  now = expires;
  EXPECT_EQ(expire_once(id, {{sequence, root.to_string()}}), Expiry::done);
  EXPECT_EQ(state.table<Task>().find(id), nullptr);
  EXPECT_EQ(state.table<Artifact>().size(), 0u);
  EXPECT_EQ(state.table<Group>().find(root)->record.tasks, 1);
  for (TableId table : {TableId::definition, TableId::task_id, TableId::resolved_task, TableId::artifact,
                        TableId::dependent, TableId::group_member}) {
    EXPECT_TRUE(erased(table)) << state::tables[static_cast<int>(table)].name;
  }
  EXPECT_EQ(expire_once(id), Expiry::done) << "again is fine";
}

TEST_F(ExpireTest, AnUnresolvedTaskStays) {
  TaskId id = create();
  now = task(id).expires;
  EXPECT_EQ(expire_once(id), Expiry::not_yet);
}

TEST_F(ExpireTest, ManyArtifactsAndRowsGoInSteps) {
  TaskId id = create();
  claim();
  for (int i = 0; i < 150; ++i) ASSERT_TRUE(add(id, "public/" + std::to_string(i)));
  ASSERT_TRUE(report(id, 0, ReasonResolved::completed));
  now = task(id).expires;
  std::uint64_t sequence = task(id).sequence;
  std::set<std::string> rows;
  for (std::uint32_t i = 0; i < 150; ++i) rows.insert(numbered_id<TaskTag>(5000 + i).to_string());
  int steps = 0;
  for (Expiry result = Expiry::more; result == Expiry::more; ++steps) {
    std::vector<Key> keys;
    for (const auto& row : rows) keys.push_back({sequence, row});
    result = expire_once(id, keys);
    EXPECT_LE(writes.size(), state::operations_max + 3);
    for (const auto& write : writes) {
      if (write.table == TableId::dependent) rows.erase(write.key.name);
    }
  }
  EXPECT_EQ(steps, 4);
  EXPECT_TRUE(rows.empty());
  EXPECT_EQ(state.table<Task>().size(), 0u);
}

TEST_F(ExpireTest, ArtifactsExpireByThemselves) {
  TaskId id = create();
  claim();
  ASSERT_TRUE(add(id, "public/a", StorageType::s3, "", minutes(5)));
  auto expire_it = [&] {
    state::Transaction tx(state, now);
    Expiry result = expire_artifact(tx, {id, 0, "public/a"});
    finish(tx);
    return result;
  };
  now += minutes(5) - Duration(1);
  EXPECT_EQ(expire_it(), Expiry::not_yet);
  now += Duration(1);
  EXPECT_EQ(expire_it(), Expiry::done);
  EXPECT_TRUE(erased(TableId::artifact));
  EXPECT_EQ(expire_it(), Expiry::done);
}

TEST_F(ExpireTest, AGroupGoesAfterItsTasks) {
  TaskId root = create();
  TaskId second = create({.group = root});
  resolve(root);
  resolve(second);
  now = state.table<Group>().find(root)->record.expires;
  auto expire_it = [&] {
    state::Transaction tx(state, now);
    Expiry result = expire_group(tx, root);
    finish(tx);
    return result;
  };
  EXPECT_EQ(expire_it(), Expiry::not_yet);
  EXPECT_EQ(expire_once(root), Expiry::done);
  EXPECT_EQ(expire_once(second), Expiry::done);
  EXPECT_EQ(expire_it(), Expiry::done);
  EXPECT_EQ(state.table<Group>().size(), 0u);
}

TEST_F(ExpireTest, AnObjectIsThereOnceItsUploadIsFinished) {
  TaskId id = create();
  claim();
  ASSERT_TRUE(add(id, "public/o", StorageType::object, "upload-1"));
  EXPECT_FALSE(changed(Change::Kind::artifact_created));
  auto read = [&] { return decide([&](state::Transaction& tx) { return find_artifact(tx, {id, 0, "public/o"}); }); };
  EXPECT_EQ(read().error().code(), ErrorCode::not_found);
  EXPECT_EQ(add(id, "public/o", StorageType::object, "upload-2").value()->target, "upload-1") << "the first one stays";
  EXPECT_EQ(finish_upload(id, "public/o", "upload-2").error().code(), ErrorCode::invalid_input);
  EXPECT_EQ(finish_upload(id, "public/none", "upload-1").error().code(), ErrorCode::not_found);
  ASSERT_TRUE(finish_upload(id, "public/o", "upload-1"));
  ASSERT_TRUE(changed(Change::Kind::artifact_created));
  EXPECT_EQ(changes[0].name, "public/o");
  EXPECT_TRUE(read());
  ASSERT_TRUE(finish_upload(id, "public/o", "upload-1")) << "again is fine";
  EXPECT_TRUE(changes.empty());
  ASSERT_TRUE(add(id, "public/s"));
  EXPECT_EQ(finish_upload(id, "public/s", "").error().code(), ErrorCode::invalid_input) << "not an object";
  EXPECT_EQ(add(id, "public/o", StorageType::reference, "https://x").error().code(), ErrorCode::conflict);
}

TEST_F(ExpireTest, AnUploadIsNotFinishedOnceTheRunIsOver) {
  TaskId id = create();
  claim();
  ASSERT_TRUE(add(id, "public/o", StorageType::object, "upload-1"));
  ASSERT_TRUE(report(id, 0, ReasonResolved::completed));
  EXPECT_EQ(finish_upload(id, "public/o", "upload-1").error().code(), ErrorCode::conflict);
}

TEST_F(ExpireTest, ExplainsAPendingTask) {
  for (int i = 0; i < 3; ++i) create();
  TaskId id = create({.memory_bytes = 500});
  Explanation nobody = why(id);
  EXPECT_EQ(nobody.ahead, 3u);
  EXPECT_EQ(nobody.in_line, 4u);
  EXPECT_EQ(nobody.summary, "pending: 3 tasks ahead of it in prov/queue; nobody claims from this queue");
  NodeId small = add_node(1, 100, "small");
  EXPECT_FALSE(why(id).fits_somewhere);
  EXPECT_NE(why(id).summary.find("larger than any node"), std::string::npos);
  add_node(1, 1000, "large");
  Explanation fits = why(id);
  ASSERT_EQ(fits.claimers.size(), 2u);
  EXPECT_EQ(fits.claimers[0].worker, "group/large");
  EXPECT_TRUE(fits.claimers[0].has_room);
  EXPECT_EQ(fits.claimers[1].node, small);
  EXPECT_FALSE(fits.claimers[1].large_enough);
}

TEST_F(ExpireTest, ExplainsWhatATaskWaitsFor) {
  TaskId open = create();
  TaskId failed = create();
  TaskId id = create({.dependencies = {open, failed}});
  resolve(failed, ReasonResolved::failed);
  Explanation waits = why(id);
  EXPECT_EQ(waits.unmet, 2u);
  ASSERT_EQ(waits.waits_for.size(), 2u);
  EXPECT_EQ(waits.waits_for[0].state, state::TaskState::pending);
  EXPECT_EQ(waits.waits_for[1].state, state::TaskState::failed);
  EXPECT_EQ(waits.summary,
            "unscheduled: it waits for 2 tasks to complete; 1 of them ended without success and must be run again");
}

TEST_F(ExpireTest, ExplainsARunningAndAResolvedTask) {
  TaskId id = create();
  claim();
  Explanation running = why(id);
  EXPECT_EQ(running.last_run, 0);
  EXPECT_EQ(running.last_worker, "group/worker");
  EXPECT_EQ(running.last_taken_until, now + claim_term);
  EXPECT_EQ(running.summary.substr(0, 27), "running: on group/worker, w");
  ASSERT_TRUE(cancel(id));
  EXPECT_EQ(why(id).summary, "exception: canceled");
}

}  // namespace
}  // namespace gantry::queue
