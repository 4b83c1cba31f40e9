// The outbox and the event streams that read it, through a whole server on a virtual clock.
#include "server/output/event_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "server/output/limits.h"
#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct SeenEvent {
  std::uint64_t id = 0;
  std::string kind;
  json::value data;
  std::string task() const { return std::string(data.at("message").at("status").at("taskId").as_string()); }
};

/// A client of an event stream: takes pieces apart into events.
class Reader {
 public:
  Reader(FakeEnv& env, net::Response response) : env_(env), stream_(std::move(response.stream)) {}

  /// One piece; false at the end of the stream.
  bool read() {
    std::string piece = env_.run(stream_->read_some());
    for (std::size_t at = 0; at < piece.size();) {
      std::size_t end = piece.find("\n\n", at);
      take(piece.substr(at, end - at));
      at = end + 2;
    }
    return !piece.empty();
  }
  /// A piece that is waited for while the test goes on.
  std::shared_ptr<FakeEnv::Running<std::string>> start() { return env_.start(stream_->read_some()); }
  /// Until `count` events have been seen.
  void read(std::size_t count) {
    while (events.size() < count && read()) {
    }
  }
  std::vector<std::string> kinds() const {
    std::vector<std::string> all;
    for (const SeenEvent& event : events) all.push_back(event.kind);
    return all;
  }

  std::vector<SeenEvent> events;
  std::uint64_t last_id = 0;
  int comments = 0;

 private:
  void take(std::string_view block) {
    SeenEvent event;
    for (std::size_t at = 0; at < block.size();) {
      std::size_t end = std::min(block.find('\n', at), block.size());
      std::string_view line = block.substr(at, end - at);
      if (line.starts_with(":")) ++comments;
      if (line.starts_with("id: ")) event.id = std::stoull(std::string(line.substr(4)));
      if (line.starts_with("event: ")) event.kind = line.substr(7);
      if (line.starts_with("data: ")) event.data = value_or_throw(parse_json(line.substr(6)));
      at = end + 1;
    }
    if (event.id) last_id = event.id;
    if (!event.kind.empty()) events.push_back(std::move(event));
  }

  FakeEnv& env_;
  std::shared_ptr<net::BodyReader> stream_;
};

struct EventStreamTest : testing::Test, ServerWorld {
  EventStreamTest() {
    set_log_sink([](LogLevel, std::string_view) {});
  }
  ~EventStreamTest() override {
    stop();
    set_log_sink(nullptr);
  }
  Reader follow(std::string query = "") { return {env, open({.target = "/v1/events" + query})}; }
  /// Everything that is in the log now.
  std::vector<SeenEvent> all(std::string query = "?after=0") {
    Reader reader = follow(query);
    while (reader.comments == 0) reader.read();
    return reader.events;
  }
  void complete(TaskId id) {
    auto run = claim(id);
    EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 200);
  }
  std::size_t stored_rows() { return store.lock()->scan(state::TableId::outbox, nullptr, 1'000'000).size(); }
  std::size_t stored_bytes() {
    std::size_t bytes = 0;
    for (const auto& row : store.lock()->scan(state::TableId::outbox, nullptr, 1'000'000)) bytes += row.value.size();
    return bytes;
  }
  void limit_outbox(OutboxLimits limits) {
    adjust = [limits](ServerSettings& settings) { settings.outbox_limits = limits; };
    restart();
  }
};

TEST_F(EventStreamTest, FollowsATaskFromCreationToItsEnd) {
  net::Response response = open({.target = "/v1/events"});
  EXPECT_EQ(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  Reader reader(env, std::move(response));
  TaskId id = create();
  complete(id);
  reader.read(4);
  ASSERT_THAT(reader.kinds(),
              testing::IsSupersetOf({"task-defined", "task-pending", "task-running", "task-completed"}));
  EXPECT_EQ(reader.events[0].task(), id.to_string());
  EXPECT_THAT(std::string(reader.events[1].data.at("routingKey").as_string()),
              HasSubstr("primary." + id.to_string() + ".0."));
  EXPECT_EQ(reader.events[1].data.at("event").as_string(), "task-pending");
}

TEST_F(EventStreamTest, WithoutAPlaceItBeginsNow) {
  create();
  Reader reader = follow();
  TaskId second = create();
  reader.read(2);
  EXPECT_EQ(reader.events[0].task(), second.to_string());
}

TEST_F(EventStreamTest, ResumesFromTheLastIdThatTheClientHasSeen) {
  create();
  Reader first = follow("?after=0");
  first.read(2);
  TaskId second = create();
  Reader by_query = follow("?after=" + std::to_string(first.last_id));
  by_query.read(2);
  EXPECT_EQ(by_query.events[0].task(), second.to_string());
  // The header is what a browser sends when it comes again to the same URL.
  Reader by_header(
      env, open({.target = "/v1/events?after=0", .headers = {{"last-event-id", std::to_string(first.last_id)}}}));
  by_header.read(2);
  EXPECT_EQ(by_header.events[0].task(), second.to_string());
  // In the middle of a row.
  Reader in_a_row = follow("?after=" + std::to_string(first.last_id - 1));
  in_a_row.read(1);
  EXPECT_EQ(in_a_row.events[0].id, first.last_id);
}

TEST_F(EventStreamTest, Filters) {
  TaskId first = create();
  json::object definition = wire::task_json(env.now());
  definition["taskQueueId"] = "prov/other";
  TaskId second = create(definition);
  complete(first);
  auto only = [&](std::string query) {
    std::vector<std::string> seen;
    for (const SeenEvent& event : all("?after=0&" + query)) {
      const json::object& message = event.data.at("message").as_object();
      if (message.contains("status"))
        seen.push_back(event.kind + " " + (event.task() == first.to_string() ? "1" : "2"));
    }
    return seen;
  };
  EXPECT_THAT(only("task=" + second.to_string()), ElementsAre("task-defined 2", "task-pending 2"));
  EXPECT_THAT(only("group=" + second.to_string()), ElementsAre("task-defined 2", "task-pending 2"));
  EXPECT_THAT(only("queue=prov/other"), ElementsAre("task-defined 2", "task-pending 2"));
  EXPECT_THAT(only("kind=task-running&kind=task-completed"), ElementsAre("task-running 1", "task-completed 1"));
  EXPECT_THAT(only("kind=task-running,task-defined"),
              ElementsAre("task-defined 1", "task-defined 2", "task-running 1"));
  EXPECT_THAT(only("kind=task-pending&queue=prov/other"), ElementsAre("task-pending 2"));
  EXPECT_THAT(only("task=" + first.to_string() + "&queue=prov/other"), ElementsAre());
}

TEST_F(EventStreamTest, RefusesWhatIsNoFilter) {
  for (const char* query : {"task=x", "task=", "group=1", "queue=prov", "kind=task", "kind=task-pending,", "after=-1",
                            "after=x", "tasks=1"}) {
    EXPECT_EQ(get(std::string("/v1/events?") + query).status, 400) << query;
  }
  std::string many = "task=AAAAAAAAQACAAAAAAAAAAA";
  for (std::size_t i = 0; i < event_filter_values_max; ++i) many += ",AAAAAAAAQACAAAAAAAAAAA";
  EXPECT_EQ(get("/v1/events?" + many).status, 400);
}

TEST_F(EventStreamTest, WhoMayRead) {
  TaskId id = create();
  std::string one = "/v1/events?task=" + id.to_string();
  auto status = [&](std::string target, std::vector<std::string> scopes) {
    return open({.target = std::move(target), .authorized_scopes = std::move(scopes)}).status;
  };
  EXPECT_EQ(status("/v1/events", {"gantry:events"}), 200);
  EXPECT_EQ(status(one, {"gantry:events"}), 200);
  EXPECT_EQ(status("/v1/events", {"queue:status:*"}), 403);
  EXPECT_EQ(status(one, {"queue:status:" + id.to_string()}), 200);
  EXPECT_EQ(status(one + ",AAAAAAAAQACAAAAAAAAAAA", {"queue:status:" + id.to_string()}), 403) << "each of them";
  EXPECT_EQ(open({.target = one, .as = nullptr}).status, 403);
}

TEST_F(EventStreamTest, ASilentStreamSaysThatItIsAliveAndWhereItStands) {
  Reader reader = follow("?kind=task-exception");
  reader.read();  // the greeting
  create();
  Duration begin = env.uptime();
  reader.read();
  EXPECT_EQ(reader.comments, 1);
  EXPECT_GE(env.uptime() - begin, event_heartbeat - seconds(1));
  EXPECT_LE(env.uptime() - begin, event_heartbeat + seconds(1));
  EXPECT_TRUE(reader.events.empty());
  EXPECT_GE(reader.last_id, 2u) << "it comes again from there, past what did not fit its filter";
}

TEST_F(EventStreamTest, EventsSurviveARestart) {
  TaskId id = create();
  auto before = all();
  restart();
  complete(id);
  auto after = all();
  ASSERT_GE(before.size(), 2u);
  ASSERT_GE(after.size(), 4u);
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].id, before[i].id);
    EXPECT_EQ(json::serialize(after[i].data), json::serialize(before[i].data));
  }
  for (std::size_t i = 1; i < after.size(); ++i) EXPECT_GT(after[i].id, after[i - 1].id);
}

TEST_F(EventStreamTest, AReaderThatIsFarBehindSeesEachEventOnceAndInOrder) {
  Reader slow = follow();
  constexpr std::size_t tasks = 5'000;  // more than fits into memory
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < tasks; ++i) ids.push_back(create().to_string());
  slow.read(2 * tasks);
  ASSERT_EQ(slow.events.size(), 2 * tasks);
  for (std::size_t i = 0; i < tasks; ++i) {
    EXPECT_EQ(slow.events[2 * i].kind, "task-defined");
    EXPECT_EQ(slow.events[2 * i].task(), ids[i]);
    EXPECT_EQ(slow.events[2 * i + 1].kind, "task-pending");
    EXPECT_EQ(slow.events[2 * i + 1].task(), ids[i]);
  }
}

TEST_F(EventStreamTest, WhatWasUndoneIsNotTold) {
  Reader reader = follow();
  store.lock()->fail_next(store::Outcome::failed);
  EXPECT_EQ(put_task(TaskId::random(env), wire::task_json(env.now())).status, 503);
  env.advance(seconds(2));
  TaskId id = create();
  reader.read(2);
  ASSERT_EQ(reader.events.size(), 2u);
  EXPECT_EQ(reader.events[0].task(), id.to_string());
  EXPECT_EQ(all().size(), 2u);
}

TEST_F(EventStreamTest, AStreamEndsWithLeadershipAndGoesOnWithoutALoss) {
  for (bool survives : {true, false}) {
    Reader before = follow();
    create();
    before.read(2);
    auto waiting = before.start();
    store.lock()->fail_next(store::Outcome::unknown, survives);
    EXPECT_EQ(put_task(TaskId::random(env), wire::task_json(env.now())).status, 503);
    EXPECT_EQ(env.finish(waiting), "") << "the end";
    env.advance(seconds(10));
    TaskId last = create();
    Reader after = follow("?after=" + std::to_string(before.last_id));
    after.read(survives ? 4 : 2);
    ASSERT_EQ(after.events.size(), survives ? 4u : 2u);
    EXPECT_EQ(after.events.back().task(), last.to_string());
    EXPECT_GT(after.events.front().id, before.last_id);
  }
}

TEST_F(EventStreamTest, AStreamEndsWhenTheServerStops) {
  Reader reader = follow();
  reader.read();
  auto stopped = env.start([](Server& server) -> Async<bool> {
    co_await server.stop();
    co_return true;
  }(*server));
  EXPECT_FALSE(reader.read());
  env.finish(stopped);
  server.reset();
}

TEST_F(EventStreamTest, TheLogIsBoundedBySize) {
  constexpr std::size_t bytes_max = 64 * 1024;
  limit_outbox({bytes_max, days(7)});
  for (int i = 0; i < 300; ++i) create();
  env.advance(seconds(10));
  EXPECT_LE(stored_bytes(), bytes_max);
  EXPECT_GT(stored_bytes(), bytes_max * 9 / 10) << "and no more is taken than must be";
  auto seen = all();
  ASSERT_GT(seen.size(), 2u);
  EXPECT_EQ(seen[0].kind, "events-lost");
  const json::value& lost = seen[0].data.at("message");
  EXPECT_EQ(lost.at("first").to_number<std::uint64_t>(), 1u);
  EXPECT_EQ(lost.at("last").to_number<std::uint64_t>() + 1, seen[1].id);
  EXPECT_EQ(lost.at("count").to_number<std::uint64_t>(), lost.at("last").to_number<std::uint64_t>());
  EXPECT_EQ(seen.back().id, 600u);
  // The bounds hold across a restart, too.
  restart();
  EXPECT_EQ(all().size(), seen.size());
  for (int i = 0; i < 300; ++i) create();
  env.advance(seconds(10));
  EXPECT_LE(stored_bytes(), bytes_max);
}

TEST_F(EventStreamTest, TheLogIsBoundedByAge) {
  create();
  env.advance(hours(20));
  TaskId young = create();
  env.advance(hours(5));
  auto seen = all("?after=0&task=" + young.to_string());
  ASSERT_EQ(seen.size(), 4u) << "one of the lost, three of the young one";
  EXPECT_EQ(seen[0].kind, "events-lost");
  EXPECT_EQ(seen[3].kind, "task-exception") << "its deadline";
  env.advance(days(2));
  EXPECT_EQ(stored_rows(), 0u);
  EXPECT_THAT(all().at(0).kind, "events-lost");
  TaskId next = create();
  seen = all("?after=0&task=" + next.to_string());
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[2].task(), next.to_string());
}

TEST_F(EventStreamTest, ManyReadersAreWokenLessOften) {
  std::vector<std::unique_ptr<Reader>> readers;
  std::vector<std::shared_ptr<FakeEnv::Running<std::string>>> waiting;
  std::vector<net::Response> responses;
  for (int i = 0; i < 200; ++i) {
    responses.push_back(open({.target = "/v1/events"}));
    env.run(responses.back().stream->read_some());
    waiting.push_back(env.start(responses.back().stream->read_some()));
  }
  Duration begin = env.uptime();
  create();
  env.run_until([&] { return std::ranges::all_of(waiting, [](const auto& each) { return each->done; }); });
  EXPECT_LE(env.uptime() - begin, outbox_news_pause_max + milliseconds(5));
  for (auto& each : waiting) EXPECT_THAT(each->take(), HasSubstr("event: task-pending"));
}

}  // namespace
}  // namespace gantry::server
