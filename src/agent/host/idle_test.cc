// When an idle machine is given up: a table, and what holds for any.
#include "agent/host/idle.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/error.h"

namespace gantry::agent {
namespace {

ShutdownSettings cycles(Duration cycle, Duration margin = seconds(120)) {
  ShutdownSettings settings;
  settings.enabled = true;
  settings.billing_cycle = cycle;
  settings.cycle_margin = margin;
  return settings;
}

TEST(Idle, WithoutABillingCycleIdleTimeCounts) {
  ShutdownSettings settings;
  settings.after_idle = seconds(300);
  EXPECT_EQ(wait_before_shutdown(settings, seconds(0)), seconds(300));
  EXPECT_EQ(wait_before_shutdown(settings, hours(30)), seconds(300));
  settings.after_idle = seconds(0);
  EXPECT_GT(wait_before_shutdown(settings, seconds(0)), Duration(0));
}

TEST(Idle, ABillingCycleIsUsedUp) {
  struct Row {
    Duration up;
    Duration wait;
  };
  const Row rows[] = {
      {seconds(0), seconds(3480)},    {seconds(1), seconds(3479)},    {minutes(30), seconds(1680)},
      {seconds(3479), seconds(1)},    {seconds(3480), seconds(3600)},  // never 0
      {seconds(3481), seconds(3599)},  // within the margin: the next cycle is begun anyway
      {seconds(3599), seconds(3481)}, {seconds(3600), seconds(3480)}, {hours(26) + minutes(59), seconds(3540)},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(wait_before_shutdown(cycles(hours(1)), row.up), row.wait) << format_duration(row.up);
  }
}

RC_GTEST_PROP(Idle, AShutdownIsAlwaysWithinACycleAndOutsideItsMargin, ()) {
  auto cycle = Duration(*rc::gen::inRange(2, 10'000'000));
  auto margin = Duration(*rc::gen::inRange<int>(0, static_cast<int>(cycle.count())));
  auto up = Duration(*rc::gen::inRange(0, 2'000'000'000));
  ShutdownSettings settings = cycles(cycle, margin);
  check(settings);
  Duration wait = wait_before_shutdown(settings, up);
  RC_ASSERT(wait > Duration(0));
  RC_ASSERT(wait <= cycle);
  RC_ASSERT((up + wait + margin) % cycle == Duration(0));
}

TEST(Idle, WhatCannotBeIsRefused) {
  EXPECT_NO_THROW(check(cycles(hours(1))));
  EXPECT_THROW(check(cycles(seconds(120))), Error);
  EXPECT_THROW(check(cycles(hours(1), seconds(-1))), Error);
  ShutdownSettings settings;
  settings.after_idle = seconds(-1);
  EXPECT_THROW(check(settings), Error);
}

TEST(Idle, TheClockRunsWhileThereIsNothingToDo) {
  ShutdownSettings settings;
  settings.enabled = true;
  settings.after_idle = seconds(10);
  IdleClock clock(settings);
  EXPECT_FALSE(clock.is_idle());
  EXPECT_FALSE(clock.due(hours(5))) << "it works";
  EXPECT_EQ(clock.idle(seconds(100)), seconds(10));
  EXPECT_EQ(clock.idle(seconds(105)), std::nullopt) << "known already, and goes on from then";
  EXPECT_FALSE(clock.due(seconds(109)));
  EXPECT_TRUE(clock.due(seconds(110)));
  EXPECT_TRUE(clock.busy());
  EXPECT_FALSE(clock.busy()) << "nothing was pending any more";
  EXPECT_FALSE(clock.due(hours(5)));
  EXPECT_EQ(clock.idle(seconds(200)), seconds(10));
  EXPECT_FALSE(clock.due(seconds(209)));
}

TEST(Idle, WithoutAShutdownItIsOnlyKnown) {
  IdleClock clock{ShutdownSettings()};
  EXPECT_EQ(clock.idle(seconds(1)), std::nullopt);
  EXPECT_TRUE(clock.is_idle());
  EXPECT_FALSE(clock.due(hours(1000)));
  EXPECT_FALSE(clock.busy());
}

}  // namespace
}  // namespace gantry::agent
