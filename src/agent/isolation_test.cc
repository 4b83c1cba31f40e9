// The firewall's rules, on tables that only a test has.
#include "agent/isolation.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/testing/agent_world.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

using Words = std::vector<std::string>;

/// iptables as far as apply_rules() uses it: chains of rules, each the text of its words.
struct FakeTables {
  std::map<std::string, std::vector<std::string>> chains{
      {"INPUT", {}}, {"FORWARD", {}}, {"DOCKER-USER", {"-j RETURN"}}};
  int changes = 0;
  bool broken = false;

  static ProgramResult no() { return {1, "iptables: No chain/target/match by that name.\n"}; }

  ProgramResult run(const Words& all) {
    if (broken) return {4, "iptables: Permission denied (you must be root)\n"};
    EXPECT_EQ((Words{all[0], all[1], all[2]}), (Words{"iptables", "-w", "5"}));
    Words words(all.begin() + 3, all.end());
    if (words[0] == "-n") return chains.contains(words[2]) ? ProgramResult{} : no();
    const std::string verb = words[0];
    const std::string chain = words[1];
    if (verb == "-N") {
      ++changes;
      return chains.try_emplace(chain).second ? ProgramResult{} : no();
    }
    if (!chains.contains(chain)) return no();
    auto& rules = chains[chain];
    if (verb == "-S") {
      std::string output = "-N " + chain + "\n";
      for (const std::string& rule : rules) output += fmt::format("-A {} {}\n", chain, rule);
      return {0, output};
    }
    const std::string rule = fmt::format("{}", fmt::join(words.begin() + 2, words.end(), " "));
    auto found = std::ranges::find(rules, rule);
    if (verb == "-C") return found == rules.end() ? no() : ProgramResult{};
    ++changes;
    if (verb == "-A") rules.push_back(rule);
    if (verb == "-I") rules.insert(rules.begin(), rule);
    if (verb == "-D" && found == rules.end()) return no();
    if (verb == "-D") rules.erase(found);
    return {};
  }
  ProgramRunner runner() {
    return [this](const Words& words) { return run(words); };
  }
  bool has(const std::string& chain, const std::string& part) const {
    return std::ranges::any_of(chains.at(chain),
                               [&](const std::string& rule) { return rule.find(part) != std::string::npos; });
  }
};

struct ApplyTest : testing::Test {
  FakeTables tables;
  std::set<int> listening;
  std::set<std::string> interfaces{"br-1"};
  IsolationRules rules{"br-1",
                       {},
                       [this](int port) { return listening.contains(port); },
                       [this](const std::string& name) { return interfaces.contains(name); }};
  int put() { return apply_rules(rules, tables.runner()); }
};

TEST_F(ApplyTest, ContainersReachNameServersAndProxiesAndNothingElseOfTheMachine) {
  rules.doors = {{"172.18.0.1", 80}};
  EXPECT_GT(put(), 0);
  const auto& in = tables.chains.at("GANTRY-TASKS-IN");
  ASSERT_EQ(in.size(), 5u);
  EXPECT_EQ(in[0], "-d 172.18.0.1/32 -p tcp -m tcp --dport 80 -m comment --comment gantry-proxy -j RETURN");
  EXPECT_NE(in[1].find("RELATED,ESTABLISHED"), std::string::npos);
  EXPECT_NE(in[4].find("-j REJECT"), std::string::npos) << "the last";
  const auto& out = tables.chains.at("GANTRY-TASKS-OUT");
  EXPECT_EQ(out.back(), "-d 169.254.0.0/16 -m comment --comment gantry -j REJECT --reject-with icmp-port-unreachable");
  EXPECT_TRUE(tables.has("INPUT", "-i br-1 -m comment --comment gantry -j GANTRY-TASKS-IN"));
  EXPECT_EQ(tables.chains.at("DOCKER-USER")[0], "-i br-1 -m comment --comment gantry -j GANTRY-TASKS-OUT");
}

TEST_F(ApplyTest, TheSameAgainChangesNothing) {
  put();
  auto before = tables.chains;
  EXPECT_EQ(put(), 0);
  EXPECT_EQ(tables.chains, before);
}

TEST_F(ApplyTest, WhateverWasTakenAwayComesBackInItsPlace) {
  rules.doors = {{"172.18.0.1", 80}};
  put();
  const auto whole = tables.chains;
  for (const auto& [chain, list] : whole) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      tables.chains = whole;
      if (list[i] == "-j RETURN") continue;  // the engine's own
      tables.chains[chain].erase(tables.chains[chain].begin() + static_cast<std::ptrdiff_t>(i));
      EXPECT_EQ(put(), 1) << list[i];
      for (const char* ours : {"GANTRY-TASKS-IN", "GANTRY-TASKS-OUT"}) {
        EXPECT_NE(tables.chains[ours].back().find("REJECT"), std::string::npos) << list[i];
        EXPECT_EQ(tables.chains[ours].size(), whole.at(ours).size()) << list[i];
      }
    }
  }
  tables.chains.erase("GANTRY-TASKS-IN");
  EXPECT_GT(put(), 0);
  EXPECT_EQ(tables.chains.at("GANTRY-TASKS-IN").size(), 5u);
}

TEST_F(ApplyTest, DoorsOfAgentsThatAreGoneAreClosedAndOthersStay) {
  rules.doors = {{"172.18.0.1", 80}};
  put();
  rules.doors = {{"172.18.0.1", 4000}};
  listening = {80};
  put();
  EXPECT_TRUE(tables.has("GANTRY-TASKS-IN", "--dport 80 ")) << "another agent's";
  EXPECT_TRUE(tables.has("GANTRY-TASKS-IN", "--dport 4000 "));
  listening.clear();
  put();
  EXPECT_FALSE(tables.has("GANTRY-TASKS-IN", "--dport 80 "));
  EXPECT_TRUE(tables.has("GANTRY-TASKS-IN", "--dport 4000 ")) << "ours, which may listen in a moment";
}

TEST_F(ApplyTest, ABridgeThatIsGoneIsForgotten) {
  put();
  rules.bridge = "br-2";
  interfaces = {"br-1", "br-2"};
  put();
  EXPECT_TRUE(tables.has("INPUT", "-i br-1 ")) << "another engine's, perhaps";
  interfaces = {"br-2"};
  put();
  EXPECT_FALSE(tables.has("INPUT", "-i br-1 "));
  EXPECT_FALSE(tables.has("DOCKER-USER", "-i br-1 "));
  EXPECT_TRUE(tables.has("INPUT", "-i br-2 "));
}

TEST_F(ApplyTest, WithoutTheEnginesOwnChainTheRulesHangWhereItWould) {
  tables.chains.erase("DOCKER-USER");
  put();
  EXPECT_TRUE(tables.has("FORWARD", "-j GANTRY-TASKS-OUT"));
}

struct BridgedEngine : FakeEngine {
  Async<engine::NetworkInfo> network_info(std::string) override {
    co_return engine::NetworkInfo{"172.18.0.1", "172.18.0.0/16", "br-1"};
  }
};

struct IsolationTest : testing::Test {
  IsolationTest() {
    set_log_sink([this](LogLevel level, std::string_view line) {
      if (level == LogLevel::warning) warnings.emplace_back(line);
    });
  }
  ~IsolationTest() override { set_log_sink({}); }

  FakeEnv env;
  BridgedEngine engine;
  FakeTables tables;
  bool here = true;
  std::vector<std::string> warnings;
  Isolation isolation{env, engine, "tasks", tables.runner(), [this](const std::string&) { return here; }};
};

TEST_F(IsolationTest, ADoorIsOpenedAtOnce) {
  env.run(isolation.check());
  EXPECT_FALSE(tables.has("GANTRY-TASKS-IN", "gantry-proxy"));
  env.run(isolation.let_in("172.18.0.1", 80));
  EXPECT_TRUE(tables.has("GANTRY-TASKS-IN", "--dport 80 "));
  EXPECT_EQ(isolation.trouble(), "");
  EXPECT_TRUE(warnings.empty());
}

TEST_F(IsolationTest, WhereItCannotBeThatIsToldOnce) {
  tables.broken = true;
  env.run(isolation.check());
  env.run(isolation.check());
  EXPECT_NE(isolation.trouble().find("you must be root"), std::string::npos) << isolation.trouble();
  EXPECT_EQ(warnings.size(), 1u);
  tables.broken = false;
  env.run(isolation.check());
  EXPECT_EQ(isolation.trouble(), "");
  here = false;
  env.run(isolation.check());
  EXPECT_NE(isolation.trouble().find("not on this machine"), std::string::npos);
  EXPECT_EQ(warnings.size(), 2u);
}

}  // namespace
}  // namespace gantry::agent
