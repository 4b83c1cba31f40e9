#include "agent/statsd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Statsd, ThePrefixKeepsItsParts) {
  EXPECT_EQ(statsd_prefix("team", "aws/b2g.build.x", "us-west-2", "m3.xlarge"),
            "team.docker-worker.aws.us-west-2.b2g-build.x.m3-xlarge");
  EXPECT_EQ(statsd_prefix("", "local/default", "", ""), "docker-worker.local.unknown.default.unknown");
  EXPECT_EQ(statsd_prefix("a", "none", "g:|x", "n"), "a.docker-worker.none.g__x.unknown.n");
}

TEST(Statsd, EventsBecomeCountersTimersAndGauges) {
  EXPECT_THAT(statsd_lines("p", "start", {}), ElementsAre("p.started:1|c"));
  EXPECT_THAT(statsd_lines("p", "claimed task", {{"runId", 0}, {"createdMsAgo", 70}}),
              ElementsAre("p.tasks.claims:1|c", "p.tasks.time.to_reach_worker:70|ms"));
  EXPECT_THAT(statsd_lines("p", "claimed task", {{"runId", 1}, {"createdMsAgo", 70}}),
              ElementsAre("p.tasks.claims:1|c"));
  EXPECT_THAT(statsd_lines("p", "task max runtime timeout", {{"maxRunTime", 5}}),
              ElementsAre("p.tasks.timed_out:1|c", "p.tasks.timed_out.max_run_time:5|g"));
  EXPECT_THAT(statsd_lines("p", "cache volume hit", {{"name", "a.b:c|d\n"}}),
              ElementsAre("p.cache.volume.a-b-c-d-.hit:1|c"));
  EXPECT_THAT(statsd_lines("p", "cache volume removed", {{"name", "a"}}), IsEmpty());
  EXPECT_THAT(statsd_lines("p", "nothing known", {{"ms", 1}}), IsEmpty());
}

TEST(Events, AreALineOfJsonEach) {
  std::string line = event_line(Time(Duration(0)), "task resolved", {{"reason", "two\nlines"}, {"type", 1}});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  json::value read = value_or_throw(parse_json(line));
  EXPECT_EQ(read.at("time"), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(read.at("type"), "task resolved");
  EXPECT_EQ(read.at("reason"), "two\nlines");
  EXPECT_EQ(read.at("type_"), 1);
  json::value pending = value_or_throw(parse_json(event_line(Time(Duration(0)), "pending shutdown", {{"time", 9}})));
  EXPECT_EQ(pending.at("seconds"), 9);
}

}  // namespace
}  // namespace gantry::agent
