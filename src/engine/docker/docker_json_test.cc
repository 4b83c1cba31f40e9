#include "engine/docker/docker_json.h"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base64.h"
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

TEST(ContainerCreateJson, GivesWhatOfTheMachineWasAsked) {
  ContainerSpec spec;
  spec.name = "a";
  spec.image = "busybox";
  spec.mounts = {{Mount::Type::volume, "cache-1", "/cache", false}, {Mount::Type::bind, "/srv", "/data", true}};
  spec.devices = {{"/dev/kvm", "", "rwm"}, {"/dev/video3", "/dev/video0", "r"}};
  spec.capabilities_add = {"SYS_PTRACE"};
  spec.capabilities_drop = {"NET_RAW"};
  spec.extra_hosts = {{"taskcluster", "172.17.0.1"}};
  spec.shm_bytes = 1 << 30;
  spec.cpuset = "0-1";
  spec.tty = true;
  spec.open_stdin = true;
  spec.disk_bytes = 5'000'000'000;
  spec.entrypoint = {"/bin/sh"};
  spec.working_directory = "/work";
  spec.user = "1000:1000";
  spec.network = "gantry";
  spec.network_of = "0123";
  json::value body = json::parse(container_create_json(spec));
  EXPECT_EQ(body.at("Tty"), true);
  EXPECT_EQ(body.at("OpenStdin"), true);
  EXPECT_EQ(body.at("Entrypoint"), json::parse(R"(["/bin/sh"])"));
  EXPECT_EQ(body.at("WorkingDir"), "/work");
  EXPECT_EQ(body.at("User"), "1000:1000");
  json::object host = body.at("HostConfig").as_object();
  host.erase("LogConfig");
  EXPECT_EQ(host, json::parse(R"({"Init": true, "SecurityOpt": ["no-new-privileges"],
    "CapAdd": ["SYS_PTRACE"], "CapDrop": ["NET_RAW"],
    "Devices": [{"PathOnHost":"/dev/kvm","PathInContainer":"/dev/kvm","CgroupPermissions":"rwm"},
                {"PathOnHost":"/dev/video3","PathInContainer":"/dev/video0","CgroupPermissions":"r"}],
    "Mounts": [{"Type":"volume","Source":"cache-1","Target":"/cache","ReadOnly":false},
               {"Type":"bind","Source":"/srv","Target":"/data","ReadOnly":true}],
    "NetworkMode": "container:0123", "ExtraHosts": ["taskcluster:172.17.0.1"], "ShmSize": 1073741824,
    "CpusetCpus": "0-1", "StorageOpt": {"size": "5000000000"}})"));
}

TEST(ContainerCreateJson, PrivilegesMayBeGainedOnlyByThePrivileged) {
  ContainerSpec spec;
  spec.privileged = true;
  json::value host = json::parse(container_create_json(spec)).at("HostConfig");
  EXPECT_EQ(host.at("Privileged"), true);
  EXPECT_FALSE(host.as_object().contains("SecurityOpt"));
}

TEST(ExecJson, SaysWhatIsAttached) {
  ExecSpec spec{.command = {"sh"}, .env = {{"A", "b"}}, .tty = true, .user = "root", .open_stdin = true};
  EXPECT_EQ(json::parse(exec_create_json(spec)),
            json::parse(R"({"Cmd":["sh"],"Env":["A=b"],"Tty":true,"AttachStdin":true,"AttachStdout":true,
                            "AttachStderr":true,"User":"root"})"));
  EXPECT_EQ(json::parse(exec_start_json(spec)), json::parse(R"({"Detach":false,"Tty":true})"));
}

TEST(ExecState, HasACodeOnceItHasEnded) {
  EXPECT_FALSE(parse_exec_state(R"({"Running":true,"ExitCode":null})").exit_code);
  EXPECT_TRUE(parse_exec_state(R"({"Running":true,"ExitCode":null})").running);
  EXPECT_EQ(parse_exec_state(R"({"Running":false,"ExitCode":7})").exit_code, 7);
  EXPECT_THROW(parse_exec_state(R"({"Running":false,"ExitCode":"7"})"), Error);
}

TEST(RegistryAuth, IsBase64ForUrlsWithPadding) {
  // With characters whose base64 has + and /.
  std::string text = registry_auth({"me", "\xc3\xbf?>~?~>~~", "r.example:5000"});
  EXPECT_EQ(text.find_first_of("+/"), std::string::npos);
  EXPECT_EQ(text.size() % 4, 0u);
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  EXPECT_EQ(
      json::parse(base64_decode(text).value()),
      json::parse("{\"username\":\"me\",\"password\":\"\xc3\xbf?>~?~>~~\",\"serveraddress\":\"r.example:5000\"}"));
}

TEST(Images, AreReadFromAnInspectionAndFromAList) {
  ImageInfo image = parse_image(R"({"Id":"sha256:1","RepoTags":["a:1","b:2"],"RepoDigests":["a@sha256:2"],
    "Created":"2026-01-02T03:04:05.5Z","Size":123,"Config":{"Labels":{"k":"v"}}})");
  EXPECT_EQ(image.id, "sha256:1");
  EXPECT_THAT(image.tags, testing::ElementsAre("a:1", "b:2"));
  EXPECT_THAT(image.digests, testing::ElementsAre("a@sha256:2"));
  EXPECT_EQ(image.bytes, 123);
  EXPECT_EQ(image.labels.at("k"), "v");
  EXPECT_EQ(format_time(image.created), "2026-01-02T03:04:05.500Z");

  auto list = parse_image_list(R"([{"Id":"sha256:1","RepoTags":["<none>:<none>"],"RepoDigests":["<none>@<none>"],
    "Created":1767323045,"Size":5,"Labels":null},{"Id":"sha256:2","RepoTags":null,"Size":6,"Labels":{"k":"v"}}])");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_TRUE(list[0].tags.empty() && list[0].digests.empty() && list[0].labels.empty());
  EXPECT_EQ(format_time(list[0].created), "2026-01-02T03:04:05.000Z");
  EXPECT_EQ(list[1].labels.at("k"), "v");
}

TEST(Load, SaysWhatWasLoadedOrWhyNot) {
  LoadResult loaded = parse_load(
      "{\"stream\":\"Loaded image: a:1\\n\"}\r\n"
      "{\"stream\":\"Loaded image ID: sha256:12\\n\"}\r\n");
  EXPECT_THAT(loaded.images, testing::ElementsAre("a:1", "sha256:12"));
  EXPECT_EQ(loaded.error, "");
  loaded = parse_load(R"({"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"})");
  EXPECT_EQ(loaded.error, "unexpected EOF");
  EXPECT_THROW(parse_load("<html>"), Error);
}

TEST(Volumes, AreRead) {
  auto volumes = parse_volume_list(R"({"Volumes":[{"Name":"v","Labels":{"k":"w"},
    "CreatedAt":"2026-01-02T03:04:05+01:00"}],"Warnings":null})");
  ASSERT_EQ(volumes.size(), 1u);
  EXPECT_EQ(volumes[0].name, "v");
  EXPECT_EQ(volumes[0].labels.at("k"), "w");
  EXPECT_EQ(format_time(volumes[0].created), "2026-01-02T02:04:05.000Z");
  EXPECT_TRUE(parse_volume_list(R"({"Volumes":null})").empty());
}

TEST(NetworkInfo, IsOfTheFirstAddresses) {
  NetworkInfo info =
      parse_network_info(R"({"IPAM":{"Config":[{"Subnet":"172.18.0.0/16","Gateway":"172.18.0.1/16"}]}})");
  EXPECT_EQ(info.subnet, "172.18.0.0/16");
  EXPECT_EQ(info.gateway, "172.18.0.1");
  EXPECT_EQ(parse_network_info(R"({"IPAM":{"Config":[]}})").gateway, "");
}

TEST(NetworkInfo, TellsTheBridge) {
  EXPECT_EQ(parse_network_info("{}").bridge, "");
  std::string_view named = R"({"Id":"96e93cd4b3768fb2","Options":{"com.docker.network.bridge.name":"docker0"}})";
  EXPECT_EQ(parse_network_info(named).bridge, "docker0");
  EXPECT_EQ(parse_network_info(R"({"Id":"96e93cd4b3768fb2"})").bridge, "br-96e93cd4b376");
}

TEST(ContainerSpec, MayBeWithoutAFilterOfSystemCalls) {
  ContainerSpec spec;
  spec.all_system_calls = true;
  json::value body = json::parse(container_create_json(spec));
  EXPECT_EQ(body.at("HostConfig").at("SecurityOpt"), json::parse(R"(["no-new-privileges", "seccomp=unconfined"])"));
}

TEST(ContainerState, TellsWhereTheContainerIs) {
  std::string state = R"("State":{"Status":"running","Running":true,"ExitCode":0,"Pid":4711})";
  ContainerState own = parse_container_state(R"({"Id":"a",)" + state +
                                             R"(,"Config":{"Tty":true},"NetworkSettings":{"IPAddress":"",
    "Networks":{"none":{"IPAddress":"invalid IP"},"gantry":{"IPAddress":"172.18.0.2"}}}})");
  EXPECT_EQ(own.address, "172.18.0.2");
  EXPECT_EQ(own.pid, 4711);
  EXPECT_TRUE(own.tty);
  EXPECT_EQ(parse_container_state(R"({"Id":"a",)" + state + "}").address, "");
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
  auto list = parse_container_list(R"([{"Id":"a","Names":["/one"],"Labels":{"k":"v"},"State":"running",
                                        "Created":1767323045,"ImageID":"sha256:1"},
                                       {"Id":"b","Names":[],"Labels":null,"State":"exited"}])");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].name, "one");
  EXPECT_EQ(list[0].labels.at("k"), "v");
  EXPECT_TRUE(list[0].running);
  EXPECT_EQ(format_time(list[0].created), "2026-01-02T03:04:05.000Z");
  EXPECT_EQ(list[0].image_id, "sha256:1");
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
