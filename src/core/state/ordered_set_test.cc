#include "core/state/ordered_set.h"

#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace gantry::state {
namespace {

TEST(OrderedSet, IsInOrderAndHoldsEachKeyOnce) {
  OrderedSet<int> set;
  EXPECT_TRUE(set.empty());
  EXPECT_TRUE(set.insert(3));
  EXPECT_TRUE(set.insert(1));
  EXPECT_FALSE(set.insert(3));
  EXPECT_EQ(std::vector<int>(set.begin(), set.end()), (std::vector<int>{1, 3}));
  EXPECT_EQ(set.back(), 3);
  EXPECT_FALSE(set.erase(2));
  EXPECT_TRUE(set.erase(3));
  EXPECT_FALSE(set.contains(3));
  EXPECT_EQ(set.size(), 1u);
}

TEST(OrderedSet, GrowsInOrderAndBackwards) {
  OrderedSet<int> set;
  for (int key = 0; key < 1000; ++key) EXPECT_TRUE(set.insert(2 * key));
  for (int key = 999; key >= 0; --key) EXPECT_TRUE(set.insert(2 * key + 1));
  EXPECT_EQ(set.size(), 2000u);
  int expected = 0;
  for (int key : set) EXPECT_EQ(key, expected++);
  EXPECT_EQ(set.rank(1234), 1234u);
}

RC_GTEST_PROP(OrderedSet, IsStdSet, ()) {
  OrderedSet<int> set;
  std::set<int> model;
  int span = *rc::gen::element(10, 300, 5000);
  for (int phase = 0; phase < 4; ++phase) {
    bool growing = phase % 2 == 0;
    for (auto value : *rc::gen::container<std::vector<std::uint16_t>>(500, rc::gen::arbitrary<std::uint16_t>())) {
      int key = value % span;
      bool insert = growing ? value % 8 != 0 : value % 8 == 0;
      if (insert) {
        RC_ASSERT(set.insert(key) == model.insert(key).second);
      } else {
        RC_ASSERT(set.erase(key) == (model.erase(key) > 0));
      }
      RC_ASSERT(set.contains(key) == model.contains(key));
    }
    for (int key : {-1, 0, span / 2, span - 1, span}) {
      auto next = model.upper_bound(key);
      RC_ASSERT((set.after(key) == set.end()) == (next == model.end()));
      if (next != model.end()) RC_ASSERT(*set.after(key) == *next);
      auto less = std::distance(model.begin(), model.lower_bound(key));
      RC_ASSERT(set.rank(key) == static_cast<std::size_t>(less));
    }
    RC_ASSERT(set.size() == model.size());
    RC_ASSERT(std::equal(set.begin(), set.end(), model.begin(), model.end()));
    if (!model.empty()) RC_ASSERT(set.back() == *model.rbegin());
  }
}

}  // namespace
}  // namespace gantry::state
