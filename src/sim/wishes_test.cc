#include "sim/wishes.h"

#include <gtest/gtest.h>

namespace gantry::sim {
namespace {

constexpr std::int64_t second_us = 1'000'000;

TEST(Wishes, WhatWasNeverAskedForMayNotBe) {
  Wishes<int> wishes(1);
  EXPECT_TRUE(wishes.may_be(1, 0));
  EXPECT_FALSE(wishes.may_be(2, 0));
  EXPECT_FALSE(wishes.asked());
}

TEST(Wishes, UntilItIsAcknowledgedBothMayBe) {
  Wishes<int> wishes(1);
  std::size_t wish = wishes.ask(2, second_us);
  EXPECT_TRUE(wishes.may_be(1, 5 * second_us));
  EXPECT_TRUE(wishes.may_be(2, 5 * second_us));
  wishes.done(wish, 6 * second_us);
  EXPECT_TRUE(wishes.may_be(1, 5 * second_us)) << "who began to look before";
  EXPECT_FALSE(wishes.may_be(1, 6 * second_us));
  EXPECT_TRUE(wishes.may_be(2, 6 * second_us));
}

TEST(Wishes, ACopyOfAnEarlierRequestMayComeLate) {
  Wishes<int> wishes(1);
  wishes.done(wishes.ask(2, second_us), 2 * second_us);
  wishes.done(wishes.ask(3, 3 * second_us), 4 * second_us);
  EXPECT_TRUE(wishes.may_be(2, 10 * second_us));
  EXPECT_FALSE(wishes.may_be(1, 10 * second_us));
  wishes.done(wishes.ask(4, 4 * second_us + late_us_max), 5 * second_us + late_us_max);
  EXPECT_FALSE(wishes.may_be(2, 5 * second_us + late_us_max));
  EXPECT_FALSE(wishes.may_be(3, 5 * second_us + late_us_max));
}

TEST(Wishes, OneWithoutAnAnswerStaysPossible) {
  Wishes<int> wishes(1);
  wishes.ask(2, second_us);
  std::int64_t later = 2 * late_us_max;
  EXPECT_TRUE(wishes.may_be(1, later));
  EXPECT_TRUE(wishes.may_be(2, later));
  wishes.done(wishes.ask(1, later), later + second_us);
  EXPECT_FALSE(wishes.may_be(2, later + second_us)) << "its time is over";
}

}  // namespace
}  // namespace gantry::sim
