#include "engine/docker/docker_json.h"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/docker/limits.h"

namespace gantry::engine::docker {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

TEST(ContainerCreateJson, SaysOnlyWhatWasAsked) {
  ContainerSpec spec;
  spec.name = "a";
  spec.image = "busybox";
  EXPECT_EQ(json::parse(container_create_json(spec)), json::parse(R"({
    "Image": "busybox", "Env": [], "Labels": {}, "Tty": false, "AttachStdout": true, "AttachStderr": true,
    "HostConfig": {"Init": true, "LogConfig": {"Type": "local", "Config": {"max-size": "1p", "max-file": "1", "compress": "false"}},
                   "SecurityOpt": ["no-new-privileges"]}})"));
}

TEST(ContainerCreateJson, LimitsForbidSwap) {
  ContainerSpec spec{.name = "a",
                     .image = "busybox",
                     .command = {"sh", "-c", "echo \"$A\""},
                     .env = {{"A", "1=2"}, {"B", ""}},
                     .labels = {{"gantry.agent", "x"}},
                     .limits = {.memory_bytes = 1 << 28, .cpus = 1.5, .pids = 100},
                     .network = "gantry",
                     .init = false};
  json::value body = json::parse(container_create_json(spec));
  EXPECT_EQ(body.at("Cmd"), json::parse(R"(["sh","-c","echo \"$A\""])"));
  EXPECT_EQ(body.at("Env"), json::parse(R"(["A=1=2","B="])"));
  EXPECT_EQ(body.at("Labels"), json::parse(R"({"gantry.agent":"x"})"));
  const json::value& host = body.at("HostConfig");
  EXPECT_EQ(host.at("Memory"), 1 << 28);
  EXPECT_EQ(host.at("MemorySwap"), 1 << 28);
  EXPECT_EQ(host.at("NanoCpus"), 1'500'000'000);
  EXPECT_EQ(host.at("PidsLimit"), 100);
  EXPECT_EQ(host.at("NetworkMode"), "gantry");
  EXPECT_EQ(host.at("Init"), false);
}

TEST(ContainerState, IsReadFromAnInspection) {
  ContainerState state = parse_container_state(R"({"Id":"abc","State":{"Status":"exited","Running":false,
    "OOMKilled":true,"ExitCode":137,"StartedAt":"2026-11-20T06:41:03.123456789Z",
    "FinishedAt":"2026-11-20T06:41:04Z"}})");
  EXPECT_EQ(state.id, "abc");
  EXPECT_FALSE(state.running);
  EXPECT_FALSE(state.created_only);
  EXPECT_TRUE(state.out_of_memory);
  EXPECT_EQ(state.exit_code, 137);
  EXPECT_EQ(format_time(state.started), "2026-11-20T06:41:03.123Z");
  EXPECT_EQ(state.finished - state.started, milliseconds(877));

  state = parse_container_state(R"({"Id":"abc","State":{"Status":"created","Running":false,"OOMKilled":false,
    "ExitCode":0,"StartedAt":"0001-01-01T00:00:00Z","FinishedAt":"0001-01-01T00:00:00Z"}})");
  EXPECT_TRUE(state.created_only);
  EXPECT_EQ(state.started, Time());
}

TEST(ContainerList, IsRead) {
  auto list = parse_container_list(R"([{"Id":"a","Names":["/one"],"Labels":{"k":"v"},"State":"running"},
                                       {"Id":"b","Names":[],"Labels":null,"State":"exited"}])");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].name, "one");
  EXPECT_EQ(list[0].labels.at("k"), "v");
  EXPECT_TRUE(list[0].running);
  EXPECT_EQ(list[1].name, "");
  EXPECT_FALSE(list[1].running);
}

TEST(Answers, OfAnotherShapeAreRefused) {
  for (std::string body : {"", "<html>", "[]", "{}", R"({"Id":5,"State":{}})", R"({"Id":"a","State":null})"}) {
    EXPECT_THROW(parse_container_state(body), Error) << body;
    EXPECT_THROW(parse_id(body == "{}" || body[0] != '{' ? body : "{}"), Error) << body;
  }
  EXPECT_THROW(parse_container_list("{}"), Error);
  EXPECT_THROW(parse_container_list("[1]"), Error);
  EXPECT_THROW(parse_wait("{}"), Error);
  EXPECT_THROW(parse_networks("{}"), Error);
  EXPECT_THROW(parse_wait(R"({"StatusCode":4294967296})"), Error);
  EngineInfo info;
  EXPECT_THROW(parse_info(R"({"NCPU":-1,"MemTotal":1})", info), Error);
  EXPECT_THROW(parse_info(R"({"NCPU":4294967297,"MemTotal":1})", info), Error);
  EXPECT_THROW(parse_info(R"({"NCPU":1,"MemTotal":-1})", info), Error);
}

int negotiated(std::string_view body) { return negotiate_version(parse_version(body)); }

TEST(Version, IsTheNewestThatBothSpeak) {
  EXPECT_EQ(negotiated(R"({"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"})"), 1041);
  EXPECT_EQ(negotiated(R"({"Version":"29.0.0","ApiVersion":"1.52","MinAPIVersion":"1.44"})"), 1044);
  EXPECT_EQ(negotiated(R"({"Version":"18.09.1","ApiVersion":"1.39"})"), 1039);
  EXPECT_EQ(version_prefix(1041), "/v1.41");
}

TEST(Version, ThatIsTooOldOrTooNewIsRefused) {
  for (std::string body :
       {R"({"Version":"18.06","ApiVersion":"1.38"})", R"({"ApiVersion":"2.0","MinAPIVersion":"1.99"})",
        R"({"ApiVersion":"abc"})", R"({"ApiVersion":"1.x"})"}) {
    try {
      negotiated(body);
      ADD_FAILURE() << body;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
      EXPECT_THAT(error.hint(), HasSubstr("upgrade"));
    }
  }
}

TEST(StatusError, KeepsTheEnginesWords) {
  struct Case {
    int status;
    ErrorCode code;
  };
  for (const Case& c :
       {Case{400, ErrorCode::invalid_input}, Case{403, ErrorCode::not_authorized}, Case{404, ErrorCode::not_found},
        Case{409, ErrorCode::conflict}, Case{500, ErrorCode::unavailable}, Case{301, ErrorCode::unsupported}}) {
    Error error = status_error(c.status, R"({"message":"No such container: x"})", "start container x");
    EXPECT_EQ(error.code(), c.code) << c.status;
    EXPECT_EQ(error.message(), "docker: start container x: No such container: x");
  }
  EXPECT_THAT(status_error(502, "<html>", "ping").message(), HasSubstr("502"));
  EXPECT_LE(error_text(500, "{\"message\":\"" + std::string(50'000, 'x') + "\"}").size(), error_text_bytes_max);
}

TEST(Networks, AreIsolatedIfTheBridgeSaysSo) {
  auto networks = parse_networks(R"([
    {"Id":"1","Name":"a","Driver":"bridge","Options":{"com.docker.network.bridge.enable_icc":"false"}},
    {"Id":"2","Name":"b","Driver":"bridge","Options":{}},
    {"Id":"3","Name":"host","Driver":"host","Options":null}])");
  ASSERT_EQ(networks.size(), 3u);
  EXPECT_TRUE(networks[0].isolated);
  EXPECT_FALSE(networks[1].isolated);
  EXPECT_FALSE(networks[2].isolated);
}

}  // namespace
}  // namespace gantry::engine::docker
