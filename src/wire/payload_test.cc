#include "wire/payload.h"

#include <set>

#include <gtest/gtest.h>

#include "base/files.h"
#include "wire/payload_keys.h"
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
  std::string said = result.error().message() + "; " + result.error().hint();
  EXPECT_NE(said.find(message), std::string::npos) << said;
}

/// Those beyond what is on by default.
std::string plug_ins(const json::object& payload) {
  std::string names;
  for (const std::string& name : parsed(payload).plug_ins) {
    if (name != "features.localLiveLog" && name != "features.artifacts") names += (names.empty() ? "" : " ") + name;
  }
  return names;
}

json::object artifact(std::string_view name, json::value spec) { return with("artifacts", json::object{{name, spec}}); }

TEST(Payload, TheLeastIsAnImageAndATimeLimit) {
  Payload payload = parsed({{"image", "debian:12"}, {"maxRunTime", 60}});
  EXPECT_EQ(payload.image.name, "debian:12");
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
  EXPECT_EQ(parsed(with("image", json::object{{"type", "docker-image"}, {"name", "x:1"}})).image.name, "x:1");
  refuses(with("image", json::object{{"type", "tarball"}}),
          "payload.image.type: must be one of: docker-image, indexed-image, task-image");
  refuses(with("image", json::object()), "payload.image.type: must be one of");
  refuses(with("image", json::object{{"type", "docker-image"}}), "payload.image.name: is required");
}

TEST(Payload, ImagesAreArtifactsOfTasksToo) {
  const std::string task = "fN1SbArXTPSVFNUvaOlinQ";
  json::object of_task{{"type", "task-image"}, {"taskId", task}, {"path", "public/image.tar"}};
  Payload payload = parsed(with("image", of_task));
  EXPECT_EQ(payload.image.kind, ImageSource::Kind::task);
  EXPECT_EQ(payload.image.to_string(), "public/image.tar of task " + task);
  EXPECT_EQ(plug_ins(with("image", of_task)), "image.task-image");
  of_task["taskId"] = "x";
  refuses(with("image", of_task), "payload.image.taskId: \"x\" must be a taskId");
  json::object indexed{{"type", "indexed-image"}, {"namespace", "a.b"}, {"path", "public/image.tar"}};
  EXPECT_EQ(parsed(with("image", indexed)).image.index_namespace, "a.b");
  EXPECT_EQ(plug_ins(with("image", indexed)), "image.indexed-image");
  for (const char* wrong : {"", ".a", "a.", "a..b", "a b", "a/b"}) {
    indexed["namespace"] = wrong;
    refuses(with("image", indexed), "payload.image.namespace");
  }
}

TEST(Payload, TimeLimitIs1SecondTo7Days) {
  accepts(with("maxRunTime", 1));
  accepts(with("maxRunTime", max_run_time_s_max));
  for (const json::value& wrong :
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
  refuses(with("env", json::object{{"A=B", "x"}}), "payload.env: a name: \"A=B\" must be the name");
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
  refuses(artifact("public/y", json::object{{"type", "link"}, {"path", "/x"}}), "payload.artifacts.public/y.type");
  refuses(artifact("public/y", json::object{{"type", "file"}, {"path", "x"}}), "payload.artifacts.public/y.path");
  refuses(artifact("public/y", json::object{{"type", "file"}}), "payload.artifacts.public/y.path: is required");
  refuses(artifact("public/y", json::object{{"type", "file"}, {"pth", "/x"}}), "did you mean \"path\"");
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
  for (const json::value& wrong :
       {json::value((6 << 20) - 1), json::value("lots"), json::value("nan"), json::value(-1), json::value(true),
        json::value(ResourceLimits::memory_bytes_max + 1), json::value(INT64_MAX)}) {
    refuses(resources("memory", wrong), "payload.resources.memory");
  }
  EXPECT_DOUBLE_EQ(parsed(resources("cpus", 0.5)).resources.cpus, 0.5);
  refuses(resources("cpus", 0), "payload.resources.cpus");
  refuses(resources("cpus", 5000), "payload.resources.cpus");
  refuses(resources("pids", 0), "payload.resources.pids");
  EXPECT_EQ(parsed(resources("disk", "10g")).resources.disk_bytes, std::int64_t{10} << 30);
  EXPECT_EQ(parsed(resources("shm", "1.5m")).resources.shm_bytes, 3 << 19);
  EXPECT_EQ(parsed(payload_json()).resources.shm_bytes, 64 << 20);
}

TEST(Payload, MustBeAnObject) {
  EXPECT_FALSE(parse_payload(json::value(nullptr)));
  EXPECT_FALSE(parse_payload(json::value("x")));
}

TEST(Payload, ExitCodesThatMeanMoreThanFailure) {
  Payload payload = parsed(with("onExitStatus", json::object{{"retry", {3, 137}}, {"purgeCaches", {9}}}));
  EXPECT_TRUE(payload.on_exit_status.retries(3));
  EXPECT_FALSE(payload.on_exit_status.retries(9));
  EXPECT_TRUE(payload.on_exit_status.purges_caches(9));
  EXPECT_FALSE(parsed(payload_json()).on_exit_status.retries(3));
  EXPECT_EQ(plug_ins(with("onExitStatus", json::object{{"retry", {3}}, {"purgeCaches", json::array()}})), "");
  EXPECT_EQ(plug_ins(with("onExitStatus", json::object{{"purgeCaches", {3}}})), "onExitStatus.purgeCaches");
  for (const json::value& wrong : {json::value(0), json::value(256), json::value("1"), json::value(1.5)}) {
    refuses(with("onExitStatus", json::object{{"retry", json::array{1, wrong}}}),
            "payload.onExitStatus.retry.1: must be an integer from 1 to 255");
  }
  refuses(with("onExitStatus", json::object{{"retry", 3}}), "payload.onExitStatus.retry: must be an array");
}

TEST(Payload, AnArtifactMayBeOptional) {
  json::object spec{{"type", "file"}, {"path", "/x"}};
  EXPECT_FALSE(parsed(artifact("a", spec)).artifacts.at(0).optional);
  spec["optional"] = true;
  EXPECT_TRUE(parsed(artifact("a", spec)).artifacts.at(0).optional);
  spec["optional"] = "yes";
  refuses(artifact("a", spec), "payload.artifacts.a.optional");
}

TEST(Payload, CachesAreDirectoriesByName) {
  Payload payload = parsed(with("cache", json::object{{"level-1-checkouts", "/builds/co"}}));
  EXPECT_EQ(payload.caches.at("level-1-checkouts"), "/builds/co");
  EXPECT_EQ(plug_ins(with("cache", json::object{{"a", "/a"}})), "cache");
  EXPECT_EQ(plug_ins(with("cache", json::object())), "");
  for (const char* wrong : {"", "a::b", "::", "a\nb", "\x7f", "caf\xC3\xA9"}) {
    refuses(with("cache", json::object{{wrong, "/a"}}), "payload.cache: a name");
  }
  accepts(with("cache", json::object{{"a:b", "/a"}}));
  accepts(with("cache", json::object{{"a", "/x"}, {"b", "/x/y"}}));
  refuses(with("cache", json::object{{"a", "/x"}, {"b", "//x/./"}}),
          "payload.cache.b: \"//x/./\" is where cache \"a\" is mounted");
  for (auto root : {"/", "/x/..", "//"}) {
    refuses(with("cache", json::object{{"a", root}}), "payload.cache.a: must not be the root directory");
  }
  refuses(with("cache", json::object{{"a", "relative"}}), "payload.cache.a: \"relative\" must be an absolute path");
}

TEST(Payload, CapabilitiesAndDevicesAreNamed) {
  auto payload = with("capabilities", json::object{{"privileged", true}, {"devices", {{"kvm", true}, {"cpu", false}}}});
  EXPECT_TRUE(parsed(payload).privileged);
  EXPECT_EQ(parsed(payload).devices, std::vector<std::string>{"kvm"});
  EXPECT_EQ(plug_ins(payload), "capabilities.privileged capabilities.devices.kvm");
}

TEST(Payload, WhatOthersHadIsNotPlanned) {
  refuses(with("features", json::object{{"balrogVPNProxy", true}}),
          "payload.features.balrogVPNProxy: unknown key: this feature is not planned; it belongs to Mozilla");
}

TEST(Payload, WhatNoSchemaKnowsIsAnotherFault) {
  auto fault = [](const json::object& payload) { return parse_payload(payload).error().fault(); };
  EXPECT_EQ(fault(with("resources", json::object{{"memory", "1k"}})), InputFault::meaning);
  EXPECT_EQ(fault(with("resources", json::object{{"memory", "1 k"}})), InputFault::schema);
  std::string wide;
  for (int i = 0; i < 128 * 1024; ++i) wide += "\xC3\xA9";
  EXPECT_EQ(fault(with("command", {wide})), InputFault::meaning);
}

/// A payload in which every key is given.
json::object whole_payload() {
  json::object payload = payload_json();
  payload["env"] = json::object{{"A", "b"}};
  payload["cache"] = json::object{{"c", "/c"}};
  payload["artifacts"] = json::object{
      {"a", {{"type", "file"}, {"path", "/a"}, {"expires", "2026-01-31T12:00:00.000Z"}, {"optional", false}}}};
  payload["log"] = "public/log";
  payload["features"] = json::object();
  payload["capabilities"] = {{"privileged", false}, {"disableSeccomp", false}, {"devices", json::object()}};
  for (const PayloadKey& key : payload_keys()) {
    if (key.place == "features") payload["features"].as_object()[key.key] = false;
    if (key.place == "capabilities.devices") payload["capabilities"].at("devices").as_object()[key.key] = false;
  }
  payload["onExitStatus"] = {{"retry", {1}}, {"purgeCaches", {2}}};
  payload["graphs"] = json::array{"/graph.json"};
  payload["sideContainers"] = json::array{"vpn"};
  payload["supersederUrl"] = "https://example.com/";
  payload["encryptedEnv"] = json::array{"YWJj"};
  payload["resources"] = {{"memory", "1g"}, {"cpus", 1}, {"pids", 10}, {"disk", "1g"}, {"shm", "1m"}};
  return payload;
}

/// Payloads that together have every key, with the place of each.
std::vector<json::object> payloads_with_every_key() {
  std::vector<json::object> all = {whole_payload()};
  all.push_back(with("image", json::object{{"type", "docker-image"}, {"name", "x"}}));
  all.push_back(with("image", json::object{{"type", "indexed-image"}, {"namespace", "x"}, {"path", "y"}}));
  json::object of_task{{"type", "task-image"}, {"taskId", "fN1SbArXTPSVFNUvaOlinQ"}, {"path", "y"}};
  all.push_back(with("image", std::move(of_task)));
  return all;
}

/// The object of the payload that the keys of `place` stand in; null if it is not there.
json::object* object_at(json::object& payload, std::string_view place) {
  json::object* found = &payload;
  while (found && !place.empty()) {
    std::size_t end = std::min(place.find('.'), place.size());
    std::string_view step = place.substr(0, end);
    place.remove_prefix(std::min(end + 1, place.size()));
    if (found == &payload && step == "image") {  // one of its kinds comes next
      json::object* image = payload.at("image").if_object();
      return image && image->contains("type") && image->at("type").as_string() == place ? image : nullptr;
    }
    json::value* next = step == "*" ? &found->begin()->value() : found->if_contains(step);
    found = next ? next->if_object() : nullptr;
  }
  return found;
}

TEST(Payload, EveryKeyOfTheTableIsTakenAndAMisspeltOneNamesIt) {
  std::set<std::string> seen;
  for (const json::object& good : payloads_with_every_key()) {
    accepts(good);
    for (const PayloadKey& key : payload_keys()) {
      json::object payload = good;
      json::object* place = object_at(payload, key.place);
      if (!place || !place->contains(key.key) || key.place == "image") continue;
      seen.insert(key.path());
      json::value value = place->at(key.key);
      for (std::size_t i = 0; i < key.key.size(); ++i) {
        std::string misspelt(key.key);
        misspelt.erase(i, 1);
        place->erase(key.key);
        (*place)[misspelt] = value;
        refuses(payload, key.key);
        place->erase(misspelt);
        (*place)[key.key] = value;
      }
    }
  }
  for (const PayloadKey& key : payload_keys()) {
    if (key.place != "image") EXPECT_TRUE(seen.contains(key.path())) << key.path();
  }
}

TEST(PayloadKeys, TheTableFitsItself) {
  std::set<std::string> paths;
  for (const PayloadKey& key : payload_keys()) {
    EXPECT_TRUE(paths.insert(key.path()).second) << key.path();
    EXPECT_TRUE(key.description.ends_with('.')) << key.path();
    auto neighbours = payload_keys_at(key.place);
    bool together = std::ranges::any_of(neighbours, [&](const PayloadKey& other) { return &other == &key; });
    EXPECT_TRUE(together) << key.path() << " stands apart from those of its place";
    EXPECT_EQ(key.description.find('|'), std::string_view::npos) << "it stands in a table of Markdown";
    if (!key.otherwise.empty()) {
      EXPECT_TRUE(parse_json(key.otherwise)) << key.path();
      EXPECT_FALSE(key.required) << key.path();
    }
  }
  EXPECT_EQ(payload_key("artifacts.<name>.path").place, "artifacts.*");
}

TEST(PayloadKeys, DefaultsAreWhatIsPublished) {
  json::object given = payload_json();
  auto published = [](std::string_view path) { return value_or_throw(parse_json(payload_key(path).otherwise)); };
  given["resources"] = {{"memory", published("resources.memory")},
                        {"shm", published("resources.shm")},
                        {"pids", published("resources.pids")}};
  ResourceLimits limits = parsed(given).resources;
  EXPECT_EQ(limits.memory_bytes, ResourceLimits().memory_bytes);
  EXPECT_EQ(limits.shm_bytes, ResourceLimits().shm_bytes);
  EXPECT_EQ(limits.pids, ResourceLimits().pids);
  EXPECT_EQ(std::string_view(published("log").as_string()), Payload().log);
}

TEST(PayloadKeys, TheGuideHasTheTable) {
  std::string guide = read_text_file(std::string(GANTRY_SOURCE_DIR) + "/docs/tasks.md", 1 << 20);
  EXPECT_NE(guide.find(payload_keys_markdown()), std::string::npos)
      << "docs/tasks.md must have what `gantry task features --output markdown` prints";
}

TEST(PayloadKeys, TheSchemaHasEveryKey) {
  json::value schema = value_or_throw(parse_json(payload_schema()));
  EXPECT_EQ(schema.at("$id"), "/schemas/docker-worker/v1/payload.json#");
  EXPECT_EQ(schema.at("required"), json::value({"image", "maxRunTime"}));
  EXPECT_FALSE(schema.at("additionalProperties").as_bool());
  std::string text = payload_schema();
  for (const PayloadKey& key : payload_keys()) {
    EXPECT_NE(text.find("\"" + std::string(key.key) + "\""), std::string::npos) << key.path();
  }
}

}  // namespace
}  // namespace gantry::wire
