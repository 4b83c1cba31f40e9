#include "core/access/scopes.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace gantry::access {
namespace {

using Scopes = std::vector<std::string>;

TEST(Satisfies, PlainScopesMustBeEqual) {
  EXPECT_TRUE(satisfies("queue:ping", "queue:ping"));
  EXPECT_FALSE(satisfies("queue:ping", "queue:pin"));
  EXPECT_FALSE(satisfies("queue:ping", "queue:ping2"));
  EXPECT_FALSE(satisfies("queue:ping", "queue:*"));
}

TEST(Satisfies, ATrailingStarCoversItsPrefix) {
  EXPECT_TRUE(satisfies("queue:*", "queue:ping"));
  EXPECT_TRUE(satisfies("queue:*", "queue:"));
  EXPECT_TRUE(satisfies("queue:*", "queue:*"));
  EXPECT_TRUE(satisfies("queue:*", "queue:task:*"));
  EXPECT_TRUE(satisfies("*", "anything"));
  EXPECT_TRUE(satisfies("*", ""));
  EXPECT_TRUE(satisfies("x*", "x**"));
  EXPECT_FALSE(satisfies("x**", "x*"));  // "xy" is below the second, not below the first
  EXPECT_FALSE(satisfies("queue:*", "queue"));
  EXPECT_FALSE(satisfies("queue:task:*", "queue:*"));
}

TEST(Satisfies, OnlyTheLastStarIsSpecial) {
  EXPECT_FALSE(satisfies("queue:*:x", "queue:task:x"));
  EXPECT_TRUE(satisfies("queue:*:x", "queue:*:x"));
  EXPECT_TRUE(satisfies("a**", "a*b"));
  EXPECT_FALSE(satisfies("a**", "ab"));
}

TEST(Scope, IsPrintableAscii) {
  EXPECT_TRUE(is_valid_scope("queue:get-artifact:public/build log~.txt"));
  EXPECT_FALSE(is_valid_scope("a\nb"));
  EXPECT_FALSE(is_valid_scope("caf\xc3\xa9"));
  EXPECT_FALSE(is_valid_scope(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_valid_scope("a\x7f"));
}

TEST(ScopeSet, IsMinimalAndSorted) {
  EXPECT_EQ(ScopeSet({"b", "a:x", "a:*", "b", "a:y:*", "a"}).scopes(), (Scopes{"a", "a:*", "b"}));
  EXPECT_EQ(ScopeSet({"a", "a*", "ab"}).scopes(), Scopes{"a*"});
  EXPECT_EQ(ScopeSet({"x", "*", "y*"}).scopes(), Scopes{"*"});
  // Characters that sort before the star must not come between a pattern and what it covers.
  EXPECT_EQ(ScopeSet({"a!", "a*", "a", "a b", "a#c*"}).scopes(), Scopes{"a*"});
}

TEST(ScopeSet, CoversWhatOneOfItsScopesCovers) {
  ScopeSet held{"queue:claim-work:p/*", "queue:worker-id:g/i", "assume:a!b"};
  EXPECT_TRUE(held.covers("queue:claim-work:p/w"));
  EXPECT_TRUE(held.covers("queue:worker-id:g/i"));
  EXPECT_FALSE(held.covers("queue:worker-id:g/i2"));
  EXPECT_FALSE(held.covers("queue:claim-work:q/w"));
  EXPECT_TRUE(held.covers(ScopeSet{"queue:claim-work:p/w*", "assume:a!b"}));
  EXPECT_FALSE(held.covers(ScopeSet{"queue:claim-work:p/w*", "assume:a"}));
  EXPECT_TRUE(ScopeSet().covers(ScopeSet()));
  EXPECT_FALSE(ScopeSet().covers(""));
}

// A small alphabet, so that scopes often cover each other; '!' and '~' stand on either side of the star.
rc::Gen<std::string> any_scope() { return rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab!~*"))); }
rc::Gen<Scopes> any_scopes() { return rc::gen::container<Scopes>(any_scope()); }

bool any_satisfies(const Scopes& held, const std::string& required) {
  return std::any_of(held.begin(), held.end(), [&](const std::string& scope) { return satisfies(scope, required); });
}

RC_GTEST_PROP(ScopeProperties, CoveringIsTransitive, ()) {
  auto a = *any_scope();
  auto b = *any_scope();
  auto c = *any_scope();
  if (satisfies(a, b) && satisfies(b, c)) RC_ASSERT(satisfies(a, c));
  RC_ASSERT(satisfies(a, a));
}

RC_GTEST_PROP(ScopeProperties, CoveringBothWaysMeansEqual, ()) {
  auto a = *any_scope();
  auto b = *any_scope();
  if (satisfies(a, b) && satisfies(b, a)) RC_ASSERT(a == b);
}

RC_GTEST_PROP(ScopeProperties, ASetCoversExactlyWhatItsScopesCover, ()) {
  auto scopes = *any_scopes();
  auto required = *any_scope();
  RC_ASSERT(ScopeSet(scopes).covers(required) == any_satisfies(scopes, required));
}

RC_GTEST_PROP(ScopeProperties, NormalizingIsIdempotentAndForgetsTheOrder, ()) {
  auto scopes = *any_scopes();
  ScopeSet set(scopes);
  RC_ASSERT(ScopeSet(set.scopes()) == set);
  std::reverse(scopes.begin(), scopes.end());
  RC_ASSERT(ScopeSet(scopes) == set);
}

RC_GTEST_PROP(ScopeProperties, ASetIsMinimal, ()) {
  auto set = ScopeSet(*any_scopes());
  for (const auto& a : set.scopes()) {
    for (const auto& b : set.scopes()) {
      if (&a != &b) RC_ASSERT(!satisfies(a, b));
    }
  }
}

RC_GTEST_PROP(ScopeProperties, HoldingMoreNeverCoversLess, ()) {
  auto scopes = *any_scopes();
  auto more = *any_scope();
  auto required = *any_scope();
  ScopeSet before(scopes);
  ScopeSet after = before;
  after.add(more);
  RC_ASSERT(after.covers(before));
  RC_ASSERT(after.covers(more));
  if (before.covers(required)) RC_ASSERT(after.covers(required));
  RC_ASSERT(!after.covers(required) || before.covers(required) || satisfies(more, required));
}

RC_GTEST_PROP(ScopeProperties, AddingASetIsAddingEachOfItsScopes, ()) {
  ScopeSet set(*any_scopes());
  ScopeSet others(*any_scopes());
  ScopeSet one_by_one = set;
  for (const auto& scope : others.scopes()) one_by_one.add(scope);
  set.add(others);
  RC_ASSERT(set == one_by_one);
}

TEST(ScopeExpression, AllAndAny) {
  auto need = ScopeExpression::all_of({"a", ScopeExpression::any_of({"b", "c"})});
  EXPECT_TRUE(need.met_by(ScopeSet{"a", "c"}));
  EXPECT_TRUE(need.met_by(ScopeSet{"*"}));
  EXPECT_FALSE(need.met_by(ScopeSet{"a"}));
  EXPECT_FALSE(need.met_by(ScopeSet{"b", "c"}));
}

TEST(ScopeExpression, OfNothing) {
  EXPECT_TRUE(ScopeExpression::all_of({}).met_by(ScopeSet()));
  EXPECT_FALSE(ScopeExpression::any_of({}).met_by(ScopeSet{"*"}));
}

TEST(ScopeExpression, SaysOnlyWhatIsMissing) {
  auto need = ScopeExpression::all_of({"a", "d", ScopeExpression::any_of({"b", ScopeExpression::all_of({"c", "a"})})});
  EXPECT_EQ(need.to_string(), "a and d and (b or (c and a))");
  EXPECT_EQ(need.missing_from(ScopeSet{"a"})->to_string(), "d and (b or c)");
  EXPECT_EQ(need.missing_from(ScopeSet{"a", "b"})->to_string(), "d");
  EXPECT_FALSE(need.missing_from(ScopeSet{"a", "b", "d"}));
}

}  // namespace
}  // namespace gantry::access
