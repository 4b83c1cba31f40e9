#include "core/index/index.h"

#include <gtest/gtest.h>

#include "core/index/intent.h"
#include "core/index/purge.h"
#include "core/testing/queue_world.h"

namespace gantry::index {
namespace {

using state::IndexedTask;
using state::IndexNamespace;
using testing_world::numbered_id;

const Time start = time_from_ms(1'795'132'800'000);

class IndexTest : public testing::Test {
 protected:
  Entry entry(std::string path, double rank = 0, std::uint32_t task = 1) {
    return {std::move(path), numbered_id<TaskTag>(task), rank, "{}", start + days(1)};
  }
  /// The task at the path after the insertion.
  TaskId put(const Entry& entry) {
    state::Transaction tx(state, now);
    TaskId there = insert(tx, entry)->task;
    tx.take();
    return there;
  }
  ErrorCode found(const std::string& path) {
    state::Transaction tx(state, now);
    auto indexed = find(tx, path);
    return indexed ? ErrorCode::internal : indexed.error().code();
  }

  state::State state;
  Time now = start;
};

TEST_F(IndexTest, PathsAreNamesJoinedByDots) {
  for (const char* good : {"a", "a.b", "a-b_!~*'()%.9", "A.b.C"}) EXPECT_TRUE(is_path(good)) << good;
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "a/b", "a b", "ä"}) EXPECT_FALSE(is_path(bad)) << bad;
  EXPECT_TRUE(is_path(std::string(path_bytes_max, 'x')));
  EXPECT_FALSE(is_path(std::string(path_bytes_max + 1, 'x')));
  std::string deep = "x";
  for (std::size_t i = 1; i < path_names_max; ++i) deep += ".x";
  EXPECT_TRUE(is_path(deep));
  EXPECT_FALSE(is_path(deep + ".x"));
}

TEST_F(IndexTest, StoreKeysKeepANamespaceTogether) {
  for (const char* path : {"a", "a.b", "a.b.c", "x-y.z"}) {
    EXPECT_EQ(state::index_path_of(state::index_key_of(path)), path);
  }
  EXPECT_EQ(state::index_key_of("a.b.c"), "a.b/c");
  EXPECT_EQ(state::index_key_of("a"), "/a");
}

TEST_F(IndexTest, GreaterOrEqualRankReplaces) {
  EXPECT_EQ(put(entry("a.b", 5, 1)), numbered_id<TaskTag>(1));
  EXPECT_EQ(put(entry("a.b", 4.5, 2)), numbered_id<TaskTag>(1));
  EXPECT_EQ(put(entry("a.b", 5, 3)), numbered_id<TaskTag>(3));
  EXPECT_EQ(put(entry("a.b", 6, 4)), numbered_id<TaskTag>(4));
}

TEST_F(IndexTest, ExpiredEntriesAreNotFoundAndHoldNoPlace) {
  put(entry("a.b", 5, 1));
  now = start + days(1) - Duration(1);
  EXPECT_EQ(found("a.b"), ErrorCode::internal);
  now = start + days(1);
  EXPECT_EQ(found("a.b"), ErrorCode::not_found);
  Entry later = entry("a.b", -1, 2);
  later.expires = now + days(1);
  EXPECT_EQ(put(later), numbered_id<TaskTag>(2));
}

TEST_F(IndexTest, NamespacesLiveAtLeastAsLongAsWhatIsBelow) {
  put(entry("a.b.c"));
  Entry longer = entry("a.d");
  longer.expires = start + days(9);
  put(longer);
  put(entry("a.e"));
  ASSERT_TRUE(state.table<IndexNamespace>().find("a"));
  EXPECT_GE(state.table<IndexNamespace>().find("a")->record.expires, start + days(9));
  EXPECT_GE(state.table<IndexNamespace>().find("a.b")->record.expires, start + days(1));
  EXPECT_FALSE(state.table<IndexNamespace>().find("a.b.c"));
  now = start + days(3);
  state::Transaction tx(state, now);
  EXPECT_FALSE(expire_namespace(tx, "a"));
  EXPECT_TRUE(expire_namespace(tx, "a.b"));
  EXPECT_TRUE(expire_task(tx, "a.b.c"));
  EXPECT_FALSE(expire_task(tx, "a.d"));
  EXPECT_FALSE(expire_task(tx, "no.such"));
}

TEST_F(IndexTest, WhatIsAbandonedNeverWas) {
  put(entry("a.b", 1, 1));
  {
    state::Transaction tx(state, now);
    insert(tx, entry("a.b", 2, 2));
    insert(tx, entry("x.y.z", 2, 2));
  }
  EXPECT_EQ(state.table<IndexedTask>().find("a.b")->record.task, numbered_id<TaskTag>(1));
  EXPECT_FALSE(state.table<IndexNamespace>().find("x.y"));
}

TEST_F(IndexTest, RecordsComeBackFromTheirText) {
  Entry full = entry("a.b.c", -2.5);
  full.data = R"({"k":[1,"x"]})";
  put(full);
  const IndexedTask& indexed = state.table<IndexedTask>().find("a.b.c")->record;
  auto again = state::decode<IndexedTask>(IndexedTask::store_key("a.b.c"), encode(indexed));
  ASSERT_TRUE(again);
  EXPECT_EQ(again.value().path, "a.b.c");
  EXPECT_EQ(encode(again.value()), encode(indexed));
  const IndexNamespace& space = state.table<IndexNamespace>().find("a.b")->record;
  auto same = state::decode<IndexNamespace>(IndexNamespace::store_key("a.b"), encode(space));
  ASSERT_TRUE(same);
  EXPECT_EQ(same.value().path, "a.b");
  EXPECT_EQ(same.value().expires, space.expires);
}

TEST(Intent, EntriesComeFromRoutesAndExtra) {
  TaskId id = numbered_id<TaskTag>(7);
  std::string why;
  auto entries = entries_of(id,
                            R"({"expires":"2026-12-01T00:00:00.000Z","routes":["index.a.b","other.x","index.bad..path",
                            "index.c"],"extra":{"index":{"rank":3.5,"data":{"b":1,"a":2}}}})",
                            why);
  ASSERT_EQ(entries.size(), 2u) << why;
  EXPECT_EQ(entries[0].path, "a.b");
  EXPECT_EQ(entries[1].path, "c");
  EXPECT_EQ(entries[1].rank, 3.5);
  EXPECT_EQ(entries[1].data, R"({"a":2,"b":1})");
  EXPECT_EQ(format_time(entries[1].expires), "2026-12-01T00:00:00.000Z");
  EXPECT_EQ(entries[1].task, id);
}

TEST(Intent, WrongOptionsIndexNothing) {
  for (const char* options : {R"("rank":"1")", R"("data":[])", R"("expires":"tomorrow")", R"("rank":null)"}) {
    std::string why;
    std::string definition = std::string(R"({"expires":"2026-12-01T00:00:00.000Z","routes":["index.a"],)") +
                             R"("extra":{"index":{)" + options + "}}}";
    EXPECT_TRUE(entries_of(TaskId(), definition, why).empty()) << options;
    EXPECT_NE(why, "") << options;
  }
  std::string why;
  std::string data(data_bytes_max, 'x');
  EXPECT_TRUE(
      entries_of(TaskId(), R"({"routes":["index.a"],"extra":{"index":{"data":{"x":")" + data + "\"}}}}", why).empty());
  EXPECT_TRUE(entries_of(TaskId(), R"({"routes":[]})", why).empty());
}

TEST(Purge, ARequestCountsFromNowForADay) {
  state::State state;
  auto purge = [&](const char* queue, const char* cache, Time now) {
    state::Transaction tx(state, now);
    bool done = purge_cache(tx, queue, cache).has_value();
    tx.take();
    return done;
  };
  EXPECT_TRUE(purge("p/w", "b", start));
  EXPECT_TRUE(purge("p/w", "a", start + hours(1)));
  EXPECT_TRUE(purge("p/other", "a", start + hours(1)));
  EXPECT_FALSE(purge("p/w", "", start));
  EXPECT_FALSE(purge("p/w", std::string(cache_name_bytes_max + 1, 'x').c_str(), start));
  auto names = [&](Time since, Time now) {
    std::string text;
    for (const auto& request : purge_requests(state, "p/w", since, now)) text += request.cache + " ";
    return text;
  };
  EXPECT_EQ(names(Time(), start + hours(2)), "a b ");
  EXPECT_EQ(names(start, start + hours(2)), "a b ");
  EXPECT_EQ(names(start + Duration(1), start + hours(2)), "a ");
  EXPECT_EQ(names(Time(), start + hours(24)), "a ");
  EXPECT_TRUE(purge("p/w", "b", start + hours(3)));
  EXPECT_EQ(names(start + hours(3), start + hours(4)), "b ");
  EXPECT_EQ(all_purge_requests(state, "", 2, start + hours(4)).size(), 2u);
  EXPECT_EQ(all_purge_requests(state, "p/w/a", 9, start + hours(4)).size(), 1u);
  state::Transaction tx(state, start + hours(25));
  EXPECT_FALSE(expire_purge_requests(tx));
  tx.take();
  EXPECT_EQ(state.table<state::PurgeRequest>().size(), 1u);
}

TEST(Purge, OneMoreThanTheMostIsRefused) {
  state::State state;
  for (std::size_t i = 0; i < purge_requests_max; ++i) {
    state.load(state::PurgeRequest{"p/w", std::to_string(i), start, start + hours(24)});
  }
  state::Transaction tx(state, start);
  EXPECT_TRUE(purge_cache(tx, "p/w", "0"));
  auto more = purge_cache(tx, "p/w", "one more");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code(), ErrorCode::unavailable);
}

}  // namespace
}  // namespace gantry::index
