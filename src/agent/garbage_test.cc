// What goes, in which order, and what stays.
#include "agent/garbage.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/task/container_spec.h"
#include "agent/testing/agent_world.h"
#include "base/crypto.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Images and volumes of some bytes each on one disk.
class DiskEngine : public FakeEngine {
 public:
  std::map<std::string, engine::ImageInfo> images;
  std::set<std::string> used_images;  // by containers that are not the agent's
  std::vector<std::string> removed;
  int container_failures = 0;  // to come
  std::vector<std::string> container_tries;

  void add_image(const std::string& name, std::int64_t bytes) {
    engine::ImageInfo image;
    image.id = "sha256:" + name;
    image.tags = {name};
    image.bytes = bytes;
    images[name] = image;
  }
  Async<std::optional<engine::ImageInfo>> inspect_image(std::string image) override {
    auto found = images.find(image);
    if (found == images.end()) co_return std::nullopt;
    co_return found->second;
  }
  Async<> remove_image(std::string reference) override {
    if (used_images.contains(reference)) throw Error(ErrorCode::conflict, "image is being used");
    images.erase(reference);
    removed.push_back(reference);
    co_return;
  }
  Async<> remove_volume(std::string name) override {
    co_await FakeEngine::remove_volume(name);
    removed.push_back(name);
  }
  Async<> remove_container(std::string id) override {
    container_tries.push_back(id);
    if (container_failures-- > 0) throw Error(ErrorCode::internal, "device busy");
    co_return;
  }
};

struct GarbageTest : testing::Test {
  GarbageTest() {
    set_log_sink([this](LogLevel, std::string_view line) { logged += std::string(line) + "\n"; });
    std::filesystem::create_directories(directory.file("spool"));
    settings.free_bytes = [this](const std::string&) {
      if (!disk_answers) throw Error(ErrorCode::unavailable, "no such disk");
      std::int64_t used = others_bytes;
      for (const auto& [name, image] : engine.images) used += image.bytes;
      return disk_bytes - used - cache_bytes * static_cast<std::int64_t>(engine.volumes.size());
    };
    settings.observer = [this](std::string_view event, const json::object&) { events.emplace_back(event); };
    settings.disk_bytes_per_slot = 1'000;
  }
  ~GarbageTest() override {
    scope.cancel();
    env.run(scope.join());
    if (images) env.run(images->stop());
    set_log_sink({});
  }

  /// Of the list that a former life of the agent has left.
  void add_ours(const std::string& name, std::int64_t bytes, Duration fetch_time, Duration idle) {
    engine.add_image(name, bytes);
    list += fmt::format(
        R"({}{{"reference":"{}","id":"sha256:{}","source":"{}","bytes":{},"fetchMs":{},"lastUsed":"{}"}})",
        list.empty() ? "" : ",", name, name, name, bytes, fetch_time.count(), format_time(env.now() - idle));
  }
  void add_cache(const std::string& volume, Duration idle) {
    engine.volumes[volume] = {volume,
                              {{agent_label, "me"},
                               {cache_label, volume + "-cache"},
                               {cache_queue_label, "prov/type"},
                               {cache_made_label, std::to_string(to_ms(env.now() - idle))}},
                              {}};
  }
  void open() {
    std::ofstream(directory.file("images.json")) << R"({"version":1,"images":[)" << list << "]}";
    images.emplace(env, engine, ImageStoreSettings{directory.file(""), {}});
    caches.emplace(env, engine, api, CacheSettings{"me", "prov/type", directory.file("caches.json")});
    env.run(caches->restore({}));
    garbage.emplace(
        env, engine, *caches, *images, settings,
        GarbagePlace{"me", directory.file(""), directory.file("spool"),
                     [this](wire::RunRef ref) { return held.contains(ref); }, [this] { return free_slots; }});
  }
  void sweep() {
    scope.spawn("garbage", garbage->run());
    std::int64_t before = garbage->counters().sweeps;
    env.run_until([&] { return garbage->counters().sweeps > before; });
    scope.cancel();
    env.run(scope.join());
  }
  bool room() { return env.run(garbage->room_for_tasks()); }

  FakeEnv env;
  TemporaryDirectory directory;
  DiskEngine engine;
  std::shared_ptr<LogServer> server = std::make_shared<LogServer>();
  ServerApi api{env, server, "server", 80};
  GarbageSettings settings;
  std::string list;
  std::optional<ImageStore> images;
  std::optional<CacheStore> caches;
  std::optional<Garbage> garbage;
  std::set<wire::RunRef> held;
  int free_slots = 1;
  bool disk_answers = true;
  std::int64_t disk_bytes = 10'000;
  std::int64_t others_bytes = 0;
  std::int64_t cache_bytes = 1'000;
  std::string logged;
  std::vector<std::string> events;
  Scope scope{env.executor(), "test"};
};

TEST_F(GarbageTest, ImagesGoSomeTimeAfterTheirLastUse) {
  add_ours("old:1", 10, seconds(1), minutes(121));
  add_ours("young:1", 10, seconds(1), minutes(10));
  engine.add_image("theirs:1", 10);
  open();
  sweep();
  EXPECT_THAT(engine.removed, ElementsAre("old:1"));
  EXPECT_TRUE(engine.images.contains("theirs:1"));
  EXPECT_THAT(events, ElementsAre("garbage collection started", "image removed", "garbage collection finished"));
  EXPECT_THAT(logged, HasSubstr("garbage: image old:1 removed unused for 2h0"));
}

TEST_F(GarbageTest, ImagesStayWhileTheyAreUsedOrNoSlotIsFree) {
  add_ours("run:1", 10, seconds(1), hours(5));
  add_ours("container:1", 10, seconds(1), hours(5));
  open();
  free_slots = 0;
  sweep();
  EXPECT_THAT(engine.removed, IsEmpty());
  free_slots = 1;
  auto use = images->used("run:1");
  engine.used_images = {"container:1"};
  sweep();
  sweep();
  EXPECT_THAT(engine.removed, IsEmpty());
  EXPECT_EQ(images->entries().size(), 2u) << "it is still known as ours";
  engine.used_images.clear();
  env.advance(image_refusal_pause);
  sweep();
  EXPECT_THAT(engine.removed, ElementsAre("container:1"));
}

TEST_F(GarbageTest, WhatIsLeastWorthKeepingGoesUntilThereIsRoom) {
  // Values: 2/660, 100/660, 60/660 (a cache), 60/120.
  add_ours("cheap:1", 1'000, seconds(2), minutes(10));
  add_ours("costly:1", 1'000, seconds(100), minutes(10));
  add_cache("cache-old", minutes(10));
  add_cache("cache-new", minutes(1));
  open();
  others_bytes = disk_bytes - 4'000;
  free_slots = 2;  // each needs its room
  EXPECT_TRUE(room());
  EXPECT_THAT(engine.removed, ElementsAre("cheap:1", "cache-old"));
  EXPECT_EQ(garbage->trouble(), "");
  EXPECT_TRUE(room());
  EXPECT_EQ(engine.removed.size(), 2u) << "no more than is needed";
  free_slots = 5;
  EXPECT_FALSE(room());
  EXPECT_THAT(engine.removed, ElementsAre("cheap:1", "cache-old", "costly:1", "cache-new"));
}

TEST_F(GarbageTest, NothingIsClaimedWhileTheDiskIsShort) {
  add_ours("used:1", 1'000, seconds(2), minutes(10));
  add_cache("held", minutes(1));
  open();
  auto use = images->used("used:1");
  env.run(caches->acquire({TaskId::random(env), 0}, "held-cache"));
  others_bytes = 7'500;
  EXPECT_FALSE(room());
  EXPECT_FALSE(room());
  EXPECT_THAT(engine.removed, IsEmpty()) << "all is in use";
  EXPECT_THAT(garbage->trouble(), HasSubstr("disk: 0.0 GB free of 0.0 GB needed on "));
  EXPECT_THAT(events, ElementsAre("diskspaceThreshold")) << "told once";
  others_bytes = 0;
  EXPECT_TRUE(room());
  EXPECT_EQ(garbage->trouble(), "");
  EXPECT_THAT(logged, HasSubstr("tasks are taken again"));
}

TEST_F(GarbageTest, ADiskThatCannotBeLookedAtIsNotWatched) {
  open();
  disk_answers = false;
  EXPECT_TRUE(room());
  EXPECT_TRUE(room());
  std::size_t told = logged.find("so it is not watched");
  EXPECT_NE(told, std::string::npos);
  EXPECT_EQ(logged.find("so it is not watched", told + 1), std::string::npos) << "told once";
}

TEST_F(GarbageTest, AutomaticSlotsFitTheDisk) {
  open();
  EXPECT_EQ(env.run(garbage->slots_with_room(4)), 4);
  EXPECT_EQ(env.run(garbage->slots_with_room(16)), 5);
  others_bytes = 9'900;
  EXPECT_EQ(env.run(garbage->slots_with_room(16)), 1);
}

TEST_F(GarbageTest, AContainerIsGivenUpAfterSomeTries) {
  open();
  engine.container_failures = removal_tries_max;
  for (int n = 0; n < removal_tries_max + 5; ++n) EXPECT_FALSE(env.run(garbage->remove_container("c1")));
  EXPECT_EQ(engine.container_tries.size(), static_cast<std::size_t>(removal_tries_max));
  EXPECT_EQ(garbage->counters().given_up, 1);
  EXPECT_THAT(logged, HasSubstr("Retry limit exceeded"));
  EXPECT_TRUE(env.run(garbage->remove_container("c2"))) << "another one";
  env.advance(settings.container_expiration);
  EXPECT_TRUE(env.run(garbage->remove_container("c1")));
  EXPECT_THAT(events, ElementsAre("container removed", "container removed"));
}

TEST_F(GarbageTest, VolumesOfNoRunAndNoCacheGo) {
  wire::RunRef run{TaskId::random(env), 0};
  held.insert(run);
  add_cache("cache", minutes(1));
  engine.volumes["ended"] = {
      "ended", {{agent_label, "me"}, {task_label, TaskId::random(env).to_string()}, {run_label, "0"}}, {}};
  engine.volumes["running"] = {
      "running", {{agent_label, "me"}, {task_label, run.task.to_string()}, {run_label, "0"}}, {}};
  engine.volumes["theirs"] = {"theirs", {{agent_label, "other"}}, {}};
  open();
  sweep();
  EXPECT_THAT(engine.removed, IsEmpty()) << "it may just be being made";
  sweep();
  EXPECT_THAT(engine.removed, ElementsAre("ended"));
}

TEST_F(GarbageTest, FilesOfNoRunGo) {
  wire::RunRef run{TaskId::random(env), 3};
  wire::RunRef ended{TaskId::random(env), 0};
  held.insert(run);
  open();
  auto path = [&](const std::string& name) { return directory.file("spool/" + name); };
  std::string kept = path(run_file_name(run, "log"));
  for (const std::string& name :
       {kept, path(run_file_name(ended, "log")), path("what"), directory.file("image-spool/x")}) {
    std::ofstream(name) << "x";
  }
  sweep();
  EXPECT_TRUE(std::filesystem::exists(path("what")));
  sweep();
  EXPECT_TRUE(std::filesystem::exists(kept));
  EXPECT_FALSE(std::filesystem::exists(path("what")));
  EXPECT_FALSE(std::filesystem::exists(path(run_file_name(ended, "log"))));
  EXPECT_TRUE(std::filesystem::is_empty(directory.file("image-spool")));
  EXPECT_EQ(garbage->counters().files_removed, 3);
}

TEST_F(GarbageTest, TheDiskIsThatOfTheEngineIfItIsHere) {
  std::vector<std::string> asked;
  settings.free_bytes = [&](const std::string& path) {
    asked.push_back(path);
    return std::int64_t{1'000'000};
  };
  open();
  env.run(garbage->locate_disk("/not/on/this/machine"));
  EXPECT_TRUE(room());
  env.run(garbage->locate_disk(directory.file("spool")));
  EXPECT_TRUE(room());
  EXPECT_THAT(asked, ElementsAre(directory.file(""), directory.file("spool")));
}

TEST(KeepValue, CostsMoreAndUsedLaterIsWorthMore) {
  EXPECT_GT(keep_value(20, minutes(5)), keep_value(10, minutes(5)));
  EXPECT_GT(keep_value(10, minutes(5)), keep_value(10, minutes(6)));
  EXPECT_EQ(keep_value(60, Duration(0)), 1);
  EXPECT_EQ(keep_value(60, minutes(-5)), 1) << "clocks jump";
  ImageEntry image;
  image.bytes = 40'000'000;
  EXPECT_EQ(cost_seconds(image), 2);
  image.fetch_time = seconds(9);
  EXPECT_EQ(cost_seconds(image), 9);
}

}  // namespace
}  // namespace gantry::agent
