#include "sim/world.h"

#include <gtest/gtest.h>

#include "base/planted.h"
#include "sim/batch.h"

namespace gantry::sim {
namespace {

Options options(std::uint64_t seed, Duration length, std::string_view faults = "all") {
  Options result;
  result.seed = seed;
  result.length = length;
  result.faults = value_or_throw(Faults::parse(faults));
  return result;
}

/// Switches a planted bug on for a while.
struct Planted {
  explicit Planted(PlantedBug bug) { planted_bug = bug; }
  ~Planted() { planted_bug = PlantedBug::none; }
};

TEST(World, ACalmDayPasses) {
  Outcome outcome = simulate(options(1, hours(8), "none"));
  EXPECT_EQ(outcome.failure, "");
  EXPECT_GT(outcome.tasks.created, 20u);
  EXPECT_GT(outcome.tasks.completed, 0u);
  for (std::uint64_t count : outcome.faults) EXPECT_EQ(count, 0u);
}

TEST(World, AStormyDayPasses) {
  for (std::uint64_t seed : {2, 3, 4}) {
    Outcome outcome = simulate(options(seed, hours(8)));
    EXPECT_EQ(outcome.failure, "") << "seed " << seed;
    EXPECT_GT(outcome.faults[static_cast<std::size_t>(Fault::worker_crash)], 0u);
    EXPECT_GT(outcome.faults[static_cast<std::size_t>(Fault::engine_call_fails)], 0u);
  }
}

TEST(World, ASeedDecidesEverything) {
  Outcome first = simulate(options(11, hours(4)));
  Outcome again = simulate(options(11, hours(4)));
  Outcome other = simulate(options(12, hours(4)));
  EXPECT_EQ(first.failure, "");
  EXPECT_EQ(first.trace_hash, again.trace_hash);
  EXPECT_EQ(first.requests, again.requests);
  EXPECT_NE(first.trace_hash, other.trace_hash);
}

TEST(World, FindsAClaimThatLeavesItsRunPending) {
  Planted planted(PlantedBug::claim_keeps_pending);
  Outcome outcome = simulate(options(1, hours(8)));
  EXPECT_NE(outcome.failure, "");
}

TEST(World, FindsALostWakeUp) {
  Planted planted(PlantedBug::lost_wakeup);
  Outcome outcome = simulate(options(1, hours(8), "none"));
  EXPECT_NE(outcome.failure.find("waits for a task"), std::string::npos) << outcome.failure;
}

TEST(World, FindsAnswersThatAreNotDurable) {
  Planted planted(PlantedBug::answer_before_durable);
  std::string failure;
  for (std::uint64_t seed = 1; seed <= 10 && failure.empty(); ++seed) {
    failure = simulate(options(seed, hours(24), "server-crash,crash-in-write,disk-full")).failure;
  }
  EXPECT_NE(failure, "");
}

/// The failure of the first seed that finds it, or nothing.
std::string found(PlantedBug bug, std::string_view faults, std::uint64_t seeds) {
  Planted planted(bug);
  std::string failure;
  for (std::uint64_t seed = 1; seed <= seeds && failure.empty(); ++seed) {
    failure = simulate(options(seed, hours(24), faults)).failure;
  }
  return failure;
}

TEST(World, FindsOutputThatIsLoggedTwice) {
  std::string failure = found(PlantedBug::adoption_repeats_log, "all", 5);
  EXPECT_NE(failure.find("its log has"), std::string::npos) << failure;
}

TEST(World, FindsAnAgentThatForgetsToCancel) {
  std::string failure = found(PlantedBug::agent_forgets_cancel, "none", 5);
  EXPECT_NE(failure.find("although its run is over"), std::string::npos) << failure;
}

TEST(World, FindsAResultThatIsReportedBeforeTheLog) {
  std::string failure = found(PlantedBug::report_before_log_end, "all", 5);
  EXPECT_NE(failure.find("its log has"), std::string::npos) << failure;
}

TEST(World, FindsContainersThatNobodyRemoves) {
  std::string failure = found(PlantedBug::orphans_stay, "all", 5);
  EXPECT_NE(failure.find("is still on"), std::string::npos) << failure;
}

struct Finding {
  PlantedBug bug;
  std::string_view says;
};
constexpr Finding findings[] = {
    {PlantedBug::failure_releases, "before what it depends on has ended"},
    {PlantedBug::priority_reset_on_restart, "which is not what was acknowledged"},
    {PlantedBug::group_resolved_early, "of its tasks are open"},
    {PlantedBug::sealed_group_takes_tasks, "has joined it"},
    {PlantedBug::claim_token_ignored, "asked again with its token"},
    {PlantedBug::events_of_one_task, "events: "},
};

TEST(World, FindsWhatGoesWrongBetweenTasks) {
  for (const Finding& finding : findings) {
    std::string failure = found(finding.bug, "all", 10);
    EXPECT_NE(failure.find(finding.says), std::string::npos) << finding.says << ": " << failure;
  }
}

TEST(World, TwoRunsOfATroubledAgentAreTheSame) {
  constexpr std::string_view faults =
      "worker-crash,agent-restart,agent-disk-full,engine-restart,engine-call-hangs,engine-answer-lost,engine-stream-"
      "cut";
  Outcome first = simulate(options(21, hours(12), faults));
  EXPECT_EQ(first.failure, "");
  EXPECT_EQ(first.trace_hash, simulate(options(21, hours(12), faults)).trace_hash);
}

TEST(Batch, RunsEachSeedInAProcessOfItsOwn) {
  BatchOptions batch;
  batch.first_seed = 5;
  batch.seeds = 3;
  batch.jobs = 2;
  batch.simulation = options(0, hours(2));
  std::map<std::uint64_t, Outcome> outcomes;
  run_batch(batch, [&](const SeedResult& result) { outcomes[result.seed] = result.outcome; });
  ASSERT_EQ(outcomes.size(), 3u);
  EXPECT_EQ(outcomes[6].failure, "");
  EXPECT_EQ(outcomes[6].trace_hash, simulate(options(6, hours(2))).trace_hash);
}

TEST(Faults, AreNamedOrRefused) {
  Faults some = value_or_throw(Faults::parse("cut,disk-full"));
  EXPECT_TRUE(some.enabled(Fault::cut));
  EXPECT_TRUE(some.enabled(Fault::disk_full));
  EXPECT_FALSE(some.enabled(Fault::server_crash));
  some.calm();
  EXPECT_FALSE(some.enabled(Fault::cut));
  EXPECT_FALSE(Faults::parse("cut,flood").has_value());
}

}  // namespace
}  // namespace gantry::sim
