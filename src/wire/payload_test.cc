#include "wire/payload.h"

#include <gtest/gtest.h>

#include "wire/testing/definitions.h"

namespace gantry::wire {
namespace {

json::object with(std::string_view key, AnyJson any) {
  json::object payload = payload_json();
  payload[key] = std::move(any.value);
  return payload;
}

Payload parsed(const json::object& payload) { return value_or_throw(parse_payload(payload)); }

void accepts(const json::object& payload) {
  auto result = parse_payload(payload);
  EXPECT_TRUE(result) << result.error().message();
}

void refuses(const json::object& payload, std::string_view message) {
  auto result = parse_payload(payload);
  ASSERT_FALSE(result) << "accepted; expected: " << message;
  EXPECT_NE(result.error().message().find(message), std::string::npos) << result.error().message();
}

json::object artifact(std::string_view name, json::value spec) { return with("artifacts", json::object{{name, spec}}); }

TEST(Payload, TheLeastIsAnImageAndATimeLimit) {
  Payload payload = parsed({{"image", "debian:12"}, {"maxRunTime", 60}});
  EXPECT_EQ(payload.image, "debian:12");
  EXPECT_EQ(payload.max_run_time, seconds(60));
  EXPECT_TRUE(payload.command.empty());
  EXPECT_EQ(payload.log, "public/logs/live.log");
  EXPECT_EQ(payload.resources.memory_bytes, ResourceLimits::memory_bytes_default);
  EXPECT_EQ(payload.resources.pids, ResourceLimits::pids_default);
  EXPECT_TRUE(payload.feature("localLiveLog"));
  EXPECT_FALSE(payload.feature("no such feature"));
  refuses({{"image", "debian:12"}}, "payload.maxRunTime: is required");
  refuses({{"maxRunTime", 1}}, "payload.image: is required");
}

TEST(Payload, ImagesAreReferencesNotFlags) {
  for (const char* image : {"debian", "debian:12", "host:5000/team/app:1", "a/b@sha256:00"})
    accepts(with("image", image));
  for (const char* image : {"", "-v", "--privileged", "/etc", "a b", "a\nb", "a;b", "caf\xC3\xA9"}) {
    refuses(with("image", image), "payload.image");
  }
  EXPECT_EQ(parsed(with("image", json::object{{"type", "docker-image"}, {"name", "x:1"}})).image, "x:1");
  refuses(with("image", json::object{{"type", "task-image"}, {"name", "x"}}),
          "payload.image.type: \"task-image\" is not supported");
  refuses(with("image", json::object{{"type", "docker-image"}}), "payload.image.name: is required");
}

TEST(Payload, TimeLimitIs1SecondTo7Days) {
  accepts(with("maxRunTime", 1));
  accepts(with("maxRunTime", max_run_time_s_max));
  for (json::value wrong :
       {json::value(0), json::value(-1), json::value(max_run_time_s_max + 1), json::value("60"), json::value(1.5)}) {
    refuses(with("maxRunTime", wrong), "payload.maxRunTime: must be an integer");
  }
}

TEST(Payload, CommandsAndVariablesHoldNoNul) {
  EXPECT_EQ(parsed(with("command", {"sh", "-c", ""})).command, (std::vector<std::string>{"sh", "-c", ""}));
  refuses(with("command", {"a", std::string("b\0c", 3)}), "payload.command.1");
  refuses(with("command", {"a", 1}), "payload.command.1");
  refuses(with("command", "true"), "payload.command: must be an array");
  accepts(with("command", {std::string(128 * 1024, 'x')}));
  refuses(with("command", {std::string(128 * 1024 + 1, 'x')}), "payload.command.0");
  accepts(with("env", json::object{{"A", ""}, {"lower", "x=y"}}));
  refuses(with("env", json::object{{"A=B", "x"}}), "payload.env: \"A=B\" cannot be the name");
  refuses(with("env", json::object{{"", "x"}}), "payload.env");
  refuses(with("env", json::object{{"A", 1}}), "payload.env.A");
  refuses(with("env", json::object{{"A", std::string("\0", 1)}}), "payload.env.A");
}

TEST(Payload, ArtifactsNameWhatAndWhere) {
  json::object file{{"type", "file"}, {"path", "/x/y"}};
  Payload payload = parsed(artifact("public/y", file));
  ASSERT_EQ(payload.artifacts.size(), 1u);
  EXPECT_EQ(payload.artifacts[0].name, "public/y");
  EXPECT_EQ(payload.artifacts[0].path, "/x/y");
  EXPECT_FALSE(payload.artifacts[0].expires);
  refuses(artifact("public/y", json::object{{"type", "volume"}, {"path", "/x"}}), "payload.artifacts.public/y.type");
  refuses(artifact("public/y", json::object{{"type", "file"}, {"path", "x"}}), "payload.artifacts.public/y.path");
  refuses(artifact("public/y", json::object{{"type", "file"}}), "payload.artifacts.public/y.path: is required");
  refuses(artifact("public/y", json::object{{"type", "file"}, {"pth", "/x"}}), "payload.artifacts.public/y.path");
  refuses(artifact("", file), "payload.artifacts");
  accepts(artifact(std::string(1024, 'n'), file));
  refuses(artifact(std::string(1025, 'n'), file), "payload.artifacts");
}

TEST(Payload, FeaturesAreSwitches) {
  Payload payload = parsed(with("features", json::object{{"localLiveLog", false}}));
  EXPECT_FALSE(payload.feature("localLiveLog"));
  refuses(with("features", json::object{{"localLiveLog", 1}}), "payload.features.localLiveLog: must be true or false");
  refuses(with("features", json::array()), "payload.features: must be an object");
}

TEST(Payload, ResourcesAreBounded) {
  auto resources = [](std::string_view key, AnyJson any) { return with("resources", json::object{{key, any.value}}); };
  EXPECT_EQ(parsed(resources("memory", "256m")).resources.memory_bytes, 256 << 20);
  EXPECT_EQ(parsed(resources("memory", 6 << 20)).resources.memory_bytes, 6 << 20);
  accepts(resources("memory", ResourceLimits::memory_bytes_max));
  for (json::value wrong :
       {json::value((6 << 20) - 1), json::value("lots"), json::value("nan"), json::value(-1), json::value(true),
        json::value(ResourceLimits::memory_bytes_max + 1), json::value(INT64_MAX)}) {
    refuses(resources("memory", wrong), "payload.resources.memory");
  }
  EXPECT_DOUBLE_EQ(parsed(resources("cpus", 0.5)).resources.cpus, 0.5);
  refuses(resources("cpus", 0), "payload.resources.cpus");
  refuses(resources("cpus", 5000), "payload.resources.cpus");
  refuses(resources("pids", 0), "payload.resources.pids");
}

TEST(Payload, MustBeAnObject) {
  EXPECT_FALSE(parse_payload(json::value(nullptr)));
  EXPECT_FALSE(parse_payload(json::value("x")));
}

}  // namespace
}  // namespace gantry::wire
