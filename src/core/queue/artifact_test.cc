// What may be recorded and read (taskcluster.md 2.6).
#include "core/queue/artifact.h"

#include <gtest/gtest.h>

#include "core/testing/queue_world.h"

namespace gantry::queue {
namespace {

using state::ReasonResolved;
using state::StorageType;
using testing_world::QueueWorld;

struct ArtifactTest : testing::Test, QueueWorld {
  TaskId id = create();
  ArtifactTest() { EXPECT_EQ(claim().size(), 1u); }

  ArtifactRequest request(StorageType type = StorageType::s3, std::string name = "public/a") {
    ArtifactRequest made;
    made.id = {id, 0, std::move(name)};
    made.type = type;
    made.content_type = "text/plain";
    made.expires = now + minutes(30);
    if (type == StorageType::reference) made.target = "https://example.com/";
    if (type == StorageType::link) made.target = "public/b";
    return made;
  }
  Result<void> put(const ArtifactRequest& made) {
    state::Transaction tx(state, now);
    auto artifact = create_artifact(tx, made);
    finish(tx, artifact.has_value());
    if (!artifact) return artifact.error();
    return success();
  }
  ErrorCode refused(const ArtifactRequest& made) {
    auto result = put(made);
    EXPECT_FALSE(result);
    return result ? ErrorCode::internal : result.error().code();
  }
  Result<state::Artifact> get(const std::string& name) {
    state::Transaction tx(state, now);
    TRY(const state::Artifact* artifact, find_artifact(tx, {id, 0, name}));
    return *artifact;
  }
};

TEST_F(ArtifactTest, ARunningRunTakesArtifacts) {
  EXPECT_TRUE(put(request()));
  EXPECT_TRUE(changed(state::Change::Kind::artifact_created));
  EXPECT_EQ(get("public/a").value().content_type, "text/plain");
  EXPECT_EQ(get("public/b").error().code(), ErrorCode::not_found);
}

TEST_F(ArtifactTest, APendingOrCompletedRunTakesNone) {
  TaskId pending = create();
  auto made = request();
  made.id.task = pending;
  EXPECT_EQ(refused(made), ErrorCode::conflict);
  ASSERT_TRUE(report(id, 0, ReasonResolved::completed));
  EXPECT_EQ(refused(request()), ErrorCode::conflict);
  made.id.run = 7;
  EXPECT_EQ(refused(made), ErrorCode::not_found);
}

TEST_F(ArtifactTest, AnExceptionTakesLogsFor25Minutes) {
  ASSERT_TRUE(report(id, 0, ReasonResolved::internal_error));
  now += minutes(25);
  EXPECT_TRUE(put(request()));
  now += Duration(1);
  EXPECT_EQ(refused(request(StorageType::s3, "public/late")), ErrorCode::conflict);
}

TEST_F(ArtifactTest, NamesAre1To1024PrintableCharacters) {
  EXPECT_TRUE(put(request(StorageType::s3, std::string(1024, 'n'))));
  for (const std::string& name :
       {std::string(), std::string(1025, 'n'), std::string("a\nb"), std::string("caf\xC3\xA9")}) {
    EXPECT_EQ(refused(request(StorageType::s3, name)), ErrorCode::invalid_input);
  }
}

TEST_F(ArtifactTest, ExpiresWithItsTaskAtTheLatestAndNotInThePast) {
  auto made = request();
  made.expires = task(id).expires;
  EXPECT_TRUE(put(made));
  made = request(StorageType::s3, "public/b");
  made.expires = task(id).expires + Duration(1);
  EXPECT_EQ(refused(made), ErrorCode::invalid_input);
  made.expires = now;
  EXPECT_EQ(refused(made), ErrorCode::invalid_input);
}

TEST_F(ArtifactTest, TheSameAgainIsFineALaterExpiryReplacesTheRestConflicts) {
  ASSERT_TRUE(put(request()));
  EXPECT_TRUE(put(request()));
  EXPECT_TRUE(writes.empty());
  auto later = request();
  later.expires += minutes(1);
  EXPECT_TRUE(put(later));
  EXPECT_EQ(get("public/a").value().expires, later.expires);
  EXPECT_EQ(refused(request()), ErrorCode::conflict) << "an earlier expiry";
  later.content_type = "text/html";
  EXPECT_EQ(refused(later), ErrorCode::conflict);
  EXPECT_EQ(refused(request(StorageType::link)), ErrorCode::conflict);
}

TEST_F(ArtifactTest, AReferenceMayBecomeAnotherOrALink) {
  ASSERT_TRUE(put(request(StorageType::reference)));
  auto other = request(StorageType::reference);
  other.target = "https://example.com/2";
  EXPECT_TRUE(put(other));
  EXPECT_EQ(refused(request(StorageType::s3)), ErrorCode::conflict);
  EXPECT_TRUE(put(request(StorageType::link)));
  EXPECT_EQ(get("public/a").value().type, StorageType::link);
  EXPECT_EQ(refused(request(StorageType::reference)), ErrorCode::conflict) << "and there it stays";
}

TEST_F(ArtifactTest, AnExpiredArtifactIsGone) {
  ASSERT_TRUE(put(request()));
  now += minutes(30);
  EXPECT_EQ(get("public/a").error().code(), ErrorCode::expired);
}

}  // namespace
}  // namespace gantry::queue
