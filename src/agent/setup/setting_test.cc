#include "agent/setup/setting.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"

namespace gantry::agent {
namespace {

using testing::HasSubstr;

std::string complaint(Result<void> result) {
  return result ? "" : result.error().message() + "|" + result.error().hint();
}

TEST(Settings, NamesAreUnique) {
  std::set<std::string> names;
  for (const Setting& setting : settings()) {
    EXPECT_TRUE(names.insert(std::string(setting.key)).second) << setting.key;
    EXPECT_TRUE(names.insert("--" + std::string(setting.flag)).second) << setting.flag;
    EXPECT_TRUE(names.insert(setting.environment()).second) << setting.environment();
    EXPECT_FALSE(setting.help.empty()) << setting.key;
  }
}

TEST(Settings, DefaultsAndProfilesAreAllowedValues) {
  EffectiveSettings effective;
  for (const Setting& setting : settings()) {
    if (!setting.otherwise.empty()) EXPECT_EQ(complaint(effective.add(setting, setting.otherwise, "x")), "");
  }
  for (const Profile& profile : profiles()) EXPECT_EQ(complaint(effective.add_profile(profile.name)), "");
}

TEST(Settings, TheStrongerSourceWins) {
  EffectiveSettings effective;
  EXPECT_EQ(effective.at("garbage.interval").text, "60s");
  EXPECT_TRUE(effective.add_profile("test"));
  EXPECT_EQ(effective.at("garbage.interval").text, "5s");
  EXPECT_EQ(effective.at("garbage.interval").from, "profile test");
  EXPECT_TRUE(effective.add_file("a.json", R"({"slots": 3, "garbage": {"interval": 7}})"));
  EXPECT_TRUE(effective.add_file("b.json", R"({"garbage": {"interval": "8s"}, "firewall": false})"));
  EXPECT_EQ(effective.at("garbage.interval").text, "8s");
  EXPECT_EQ(effective.at("slots").from, "a.json");
  EXPECT_EQ(effective.at("firewall").text, "false");
  EXPECT_TRUE(effective.add_environment([](const std::string& name) -> std::optional<std::string> {
    if (name == "GANTRY_AGENT_GARBAGE_INTERVAL") return "9s";
    if (name == "STATSD_URL") return "udp://one:1";
    if (name == "TASK_HOST") return "";
    if (name == "DOCKER_HOST" || name == "GANTRY_AGENT_ENGINE") return name;
    return std::nullopt;
  }));
  EXPECT_EQ(effective.at("garbage.interval").from, "$GANTRY_AGENT_GARBAGE_INTERVAL");
  EXPECT_EQ(effective.at("metrics.statsdUrl").from, "$STATSD_URL");
  EXPECT_EQ(effective.at("engine").text, "GANTRY_AGENT_ENGINE");
  EXPECT_FALSE(effective.is_set("taskHost"));
}

TEST(Settings, MistakesNameTheFileTheKeyAndWhatIsRight) {
  EffectiveSettings effective;
  auto said = [&](std::string_view text) { return complaint(effective.add_file("f.json", text)); };
  EXPECT_EQ(said(R"({"garbage": {"imageExpiraton": "1h"}})"),
            "f.json: there is no setting \"garbage.imageExpiraton\"|did you mean garbage.imageExpiration?");
  EXPECT_THAT(said(R"({"slots": 0})"), HasSubstr("f.json: slots: must be a whole number, from 1 to 10000, not 0"));
  EXPECT_THAT(said(R"({"slots": "4"})"), HasSubstr("slots: must be a whole number"));
  EXPECT_THAT(said(R"({"verbose": "true"})"), HasSubstr("verbose: must be true or false, not \"true\""));
  EXPECT_THAT(said(R"({"garbage": 5})"), HasSubstr("garbage: must be an object with settings"));
  EXPECT_THAT(said(R"({"onStop": "stay"})"), HasSubstr("one of leave, hand-back, finish"));
  EXPECT_THAT(said("[]"), HasSubstr("f.json: must be a JSON object"));
  EXPECT_THAT(said("{"), HasSubstr("f.json: "));
  EXPECT_THAT(said(std::string(settings_file_bytes_max + 1, ' ')), HasSubstr("more than"));
  EXPECT_THAT(said(R"({"slots": 5, "nothing": 1})"), HasSubstr("nothing"));
  EXPECT_FALSE(effective.is_set("slots")) << "of a wrong file nothing is taken";
  EXPECT_THAT(complaint(effective.add_profile("tset")), HasSubstr("did you mean test?"));
}

TEST(Settings, ThePageIsUpToDate) {
  EXPECT_EQ(read_text_file(std::string(GANTRY_SOURCE_DIR) + "/docs/settings.md", 1 << 20), settings_page())
      << "docs/settings.md must be what `gantry settings page` prints";
}

}  // namespace
}  // namespace gantry::agent
