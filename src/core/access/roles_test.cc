#include "core/access/roles.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/access/limits.h"

namespace gantry::access {
namespace {

using state::Role;
using Scopes = std::vector<std::string>;
using RoleList = std::vector<std::pair<std::string, Scopes>>;

std::vector<Role> records(const RoleList& list) {
  std::vector<Role> roles;
  for (const auto& [id, scopes] : list) {
    Role role;
    role.id = id;
    role.scopes = scopes;
    roles.push_back(std::move(role));
  }
  return roles;
}

Scopes expand(const RoleList& roles, const Scopes& held) {
  return RoleResolver(records(roles)).expand(held).scopes.scopes();
}

state::State state_with(const RoleList& roles) {
  state::State state;
  for (Role& role : records(roles)) state.load(std::move(role));
  return state;
}

std::string check(const RoleList& present, const std::string& id, const Scopes& scopes) {
  auto checked = check_roles(state_with(present), records({{id, scopes}}).front());
  return checked ? "ok" : std::string(error_code_name(checked.error().code())) + ": " + checked.error().message();
}

TEST(Roles, ARoleStandsForItsScopesAndTheirs) {
  RoleList roles{{"a", {"x", "assume:b"}}, {"b", {"y:*"}}, {"c", {"z"}}};
  EXPECT_EQ(expand(roles, {"assume:a"}), (Scopes{"assume:a", "assume:b", "x", "y:*"}));
  EXPECT_EQ(expand(roles, {"assume:d", "q"}), (Scopes{"assume:d", "q"}));
  EXPECT_EQ(expand(roles, {}), Scopes{});
  EXPECT_EQ(expand(roles, {"assume:ab"}), Scopes{"assume:ab"});
}

TEST(Roles, AStarAssumesEveryRoleItCovers) {
  RoleList roles{{"aa", {"x"}}, {"ab", {"y"}}, {"b", {"z"}}, {"abc*", {"w:<..>:end"}}};
  EXPECT_EQ(expand(roles, {"assume:a*"}), (Scopes{"assume:a*", "w:*", "x", "y"}));
  for (const char* wide : {"assume:*", "assume*", "ass*", "a*"}) {
    EXPECT_EQ(expand(roles, {wide}), (Scopes{wide, "w:*", "x", "y", "z"})) << wide;
  }
  EXPECT_EQ(expand(roles, {"*"}), Scopes{"*"});
  EXPECT_EQ(expand(roles, {"b*"}), Scopes{"b*"});
}

TEST(Roles, AParameterIsWhatTheHeldScopeHasMore) {
  RoleList roles{{"repo:*", {"route:<..>:x", "plain", "all:<..>"}}};
  EXPECT_EQ(expand(roles, {"assume:repo:m/c"}), (Scopes{"all:m/c", "assume:repo:m/c", "plain", "route:m/c:x"}));
  EXPECT_EQ(expand(roles, {"assume:repo:"}), (Scopes{"all:", "assume:repo:", "plain", "route::x"}));
  EXPECT_EQ(expand(roles, {"assume:repo:m*"}), (Scopes{"all:m*", "assume:repo:m*", "plain", "route:m*"}));
  EXPECT_EQ(expand(roles, {"assume:re*"}), (Scopes{"all:*", "assume:re*", "plain", "route:*"}));
  EXPECT_EQ(expand(roles, {"assume:rep"}), Scopes{"assume:rep"});
  EXPECT_EQ(expand({{"ab**", {"x<..>"}}}, {"assume:ab*"}), (Scopes{"assume:ab*", "x*"})) << "the last star is wide";
}

TEST(Roles, WithoutAStarInTheIdAParameterIsText) {
  EXPECT_EQ(expand({{"a", {"x:<..>"}}}, {"assume:a"}), (Scopes{"assume:a", "x:<..>"}));
}

TEST(Roles, AParameterCanNameAnotherRole) {
  RoleList roles{{"user:*", {"assume:team:<..>"}}, {"team:red", {"paint"}}, {"team:*", {"meet:<..>"}}};
  EXPECT_EQ(expand(roles, {"assume:user:red"}), (Scopes{"assume:team:red", "assume:user:red", "meet:red", "paint"}));
  EXPECT_EQ(expand(roles, {"assume:user:*"}), (Scopes{"assume:team:*", "assume:user:*", "meet:*", "paint"}));
  EXPECT_EQ(expand({{"*", {"<..>"}}, {"x", {"y"}}}, {"assume:assume:x"}),
            (Scopes{"assume:assume:x", "assume:x", "x", "y"}));
}

TEST(Roles, CyclesThatAreThereComeToAnEnd) {
  EXPECT_EQ(expand({{"a", {"assume:b", "x"}}, {"b", {"assume:a", "y"}}}, {"assume:b"}),
            (Scopes{"assume:a", "assume:b", "x", "y"}));
  RoleResolver growing(records({{"a*", {"assume:a<..>x"}}}));
  Expansion expansion = growing.expand(Scopes{"assume:a"});
  EXPECT_FALSE(expansion.complete);
  EXPECT_GT(expansion.scopes.size(), 1'000u);
  EXPECT_LE(expansion.scopes.size(), expanded_scopes_max);
  for (const auto& scope : expansion.scopes.scopes()) ASSERT_LE(scope.size(), scope_bytes_max);
  RoleResolver doubling(records({{"a*", {"assume:a<..>x", "assume:a<..>y"}}}));
  Expansion many = doubling.expand(Scopes{"assume:a"});
  EXPECT_FALSE(many.complete);
  EXPECT_LE(many.scopes.size(), expanded_scopes_max + 2);
}

TEST(CheckRoles, RefusesCycles) {
  EXPECT_EQ(check({}, "a", {"assume:b"}), "ok");
  EXPECT_NE(check({}, "a", {"assume:a"}).find("'assume:a' -> 'assume:a'"), std::string::npos);
  EXPECT_NE(check({{"b", {"assume:c"}}, {"c", {"assume:a"}}}, "a", {"assume:b"})
                .find("'assume:a' -> 'assume:b' -> 'assume:c' -> 'assume:a'"),
            std::string::npos);
  EXPECT_EQ(check({{"b", {"assume:c"}}}, "a", {"assume:b"}), "ok");
  EXPECT_NE(check({}, "a*", {"assume:ab"}).find("cycle"), std::string::npos);
  EXPECT_NE(check({}, "a", {"assume:*"}).find("cycle"), std::string::npos);
  EXPECT_NE(check({}, "a", {"*"}).find("cycle"), std::string::npos);
  EXPECT_NE(check({}, "a*", {"assume:a<..>x"}).find("cycle"), std::string::npos) << "it would grow for ever";
  EXPECT_NE(check({}, "a*", {"<..>"}).find("cycle"), std::string::npos);
  EXPECT_EQ(check({}, "a*", {"assume:b<..>", "x<..>y"}), "ok");
  EXPECT_EQ(check({{"b*", {"assume:c<..>"}}}, "a*", {"assume:b<..>"}), "ok");
  EXPECT_NE(check({{"b*", {"assume:ax<..>"}}}, "a*", {"assume:b<..>"}).find("cycle"), std::string::npos);
  EXPECT_EQ(check({{"a", {"assume:b"}}}, "a", {"x"}), "ok") << "the role takes its own place";
}

TEST(CheckRoles, RefusesParametersThatCouldMeanTwoThings) {
  EXPECT_EQ(check({}, "a*", {"x<..>y<..>"}).find("invalid-input"), 0u);
  EXPECT_EQ(check({}, "a*", {"x*<..>"}).find("invalid-input"), 0u);
  EXPECT_EQ(check({}, "a", {"x*<..>", "<..><..>"}), "ok") << "it is text in a role without a star";
}

TEST(CheckRoles, RefusesWhatExpandsBeyondTheLimits) {
  RoleList roles;
  for (int level = 0; level < 20; ++level) {
    std::string next = fmt::format("assume:l{:02}/<..>", level + 1);
    roles.push_back({fmt::format("l{:02}/*", level), {next + "a", next + "b"}});
  }
  EXPECT_EQ(check(roles, "start", {"assume:l10/"}), "ok") << "2^10";
  EXPECT_EQ(check(roles, "start", {"assume:l00/"}).find("too-large"), 0u) << "2^20";
}

// The definition of 2.10, without any index.
bool covers(std::string_view a, std::string_view b) { return satisfies(a, b); }
Scopes by_definition(const RoleList& roles, Scopes scopes) {
  for (std::size_t i = 0; i < scopes.size() && scopes.size() < 5'000; ++i) {
    for (const auto& [id, granted] : roles) {
      std::string pattern = "assume:" + id;
      if (!covers(pattern, scopes[i]) && !covers(scopes[i], pattern)) continue;
      for (std::string scope : granted) {
        auto mark = scope.find("<..>");
        if (id.ends_with('*') && mark != std::string::npos) {
          std::string stem = pattern.substr(0, pattern.size() - 1);
          bool longer =
              scopes[i].starts_with(stem) && scopes[i] != stem;  // else it covers the role, or is just as long
          std::string rest = scopes[i].ends_with('*') ? "*" : "";
          if (longer) rest = scopes[i].substr(stem.size());
          scope = scope.substr(0, mark) + rest + (rest.ends_with('*') ? "" : scope.substr(mark + 4));
        }
        if (std::ranges::find(scopes, scope) == scopes.end()) scopes.push_back(scope);
      }
    }
  }
  return ScopeSet(std::move(scopes)).scopes();
}

rc::Gen<std::string> text(const char* letters) {
  return rc::gen::resize(4, rc::gen::container<std::string>(rc::gen::elementOf(std::string(letters))));
}

/// Roles that check_roles lets in, made one after the other.
RoleList arbitrary_roles() {
  RoleList roles;
  for (int i = *rc::gen::inRange(0, 8); i > 0; --i) {
    std::string id = *text("ab*");
    if (id.empty() || std::ranges::find(roles, id, &RoleList::value_type::first) != roles.end()) continue;
    Scopes scopes;
    for (int n = *rc::gen::inRange(0, 4); n > 0; --n) {
      const char* first = *rc::gen::element("assume:", "", "x", "a");
      std::string scope = first + *text("ab*");
      if (*rc::gen::inRange(0, 2)) scope += "<..>" + *text("ab*");
      scopes.push_back(scope);
    }
    if (check(roles, id, scopes) == "ok") roles.emplace_back(id, scopes);
  }
  return roles;
}

Scopes arbitrary_scopes() {
  Scopes scopes;
  for (int n = *rc::gen::inRange(0, 4); n > 0; --n) {
    scopes.push_back(*rc::gen::element<std::string>("assume:", "ass", "", "x") + *text("ab*"));
  }
  return scopes;
}

RC_GTEST_PROP(Roles, ExpandAsDefined, ()) {
  RoleList roles = arbitrary_roles();
  Scopes held = arbitrary_scopes();
  RC_ASSERT(expand(roles, held) == by_definition(roles, held));
}

RC_GTEST_PROP(Roles, ExpansionIsAFixedPointAndMonotone, ()) {
  RoleResolver roles(records(arbitrary_roles()));
  Scopes held = arbitrary_scopes();
  ScopeSet once = roles.expand(held).scopes;
  RC_ASSERT(roles.expand(once).scopes == once);
  RC_ASSERT(once.covers(ScopeSet(held)));
  Scopes more = held;
  for (const std::string& scope : arbitrary_scopes()) more.push_back(scope);
  RC_ASSERT(roles.expand(more).scopes.covers(once));
  // Minimal and sorted.
  RC_ASSERT(ScopeSet(once.scopes()).scopes() == once.scopes());
}

}  // namespace
}  // namespace gantry::access
