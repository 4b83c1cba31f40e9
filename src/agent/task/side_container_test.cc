// Side containers, dind and superseding, through whole runs.
#include "agent/task/side_container.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/testing/run_world.h"

namespace gantry::agent {
namespace {

using engine::ContainerSpec;

/// Keeps every container apart; a side container with a shared folder makes its socket there, if it is told to.
class SideEngine : public RunEngine {
 public:
  std::map<std::string, ContainerSpec> there;  // by name
  std::vector<ContainerSpec> made;
  bool makes_socket = true;
  bool side_ends = false;
  std::string refused_image;

  Async<std::string> create_container(ContainerSpec spec) override {
    if (spec.image == refused_image) throw Error(ErrorCode::invalid_input, "no such command");
    if (there.contains(spec.name)) throw Error(ErrorCode::conflict, "the name is taken");
    made.push_back(spec);
    created = spec;
    there[spec.name] = spec;
    co_return spec.name;
  }
  Async<> start_container(std::string id) override {
    const ContainerSpec& spec = there.at(id);
    if (!spec.labels.contains(side_label)) {
      exit(ends_with);
    } else if (makes_socket) {
      for (const engine::Mount& mount : spec.mounts) make_socket(mount.source + "/docker.sock");
    }
    co_return;
  }
  Async<engine::ContainerState> inspect_container(std::string id) override {
    engine::ContainerState state;
    bool side = there.contains(id) && there.at(id).labels.contains(side_label);
    state.running = side ? !side_ends : !exit_code;
    state.exit_code = side_ends ? 7 : 0;
    co_return state;
  }
  Async<> remove_container(std::string id) override {
    there.erase(id);
    co_return;
  }

 private:
  static void make_socket(const std::string& path) {
    // A relative name: a socket's path must be short.
    std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(std::filesystem::path(path).parent_path());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string("docker.sock").copy(address.sun_path, sizeof address.sun_path - 1);
    int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::close(descriptor);
    std::filesystem::current_path(before);
  }
};

struct SideTest : RunWorld<SideEngine> {
  SideTest() {
    settings.dind_image = "docker:dind";
    settings.allow_privileged = true;
    settings.side_containers["vpn"] = vpn();
    scopes = R"({"scopes":["*"]})";
  }
  static SideContainerSettings vpn() {
    SideContainerSettings settings;
    settings.image = "vpn:3";
    settings.alias = "intranet";
    settings.scope = "project:vpn";
    settings.env = {{"REGION", "eu"}};
    return settings;
  }
  bool folder_is_empty() const {
    return !std::filesystem::exists(settings.side_directory) || std::filesystem::is_empty(settings.side_directory);
  }
  void expect_nothing_left() {
    EXPECT_TRUE(engine.there.empty()) << engine.there.begin()->first;
    EXPECT_TRUE(folder_is_empty());
  }
};

const json::object with_dind{{"features", {{"dind", true}}}};
const json::object with_vpn{{"sideContainers", {"vpn"}}};

TEST_F(SideTest, DindIsAnEngineBesideTheTaskWhoseSocketAloneItGets) {
  EXPECT_EQ(run(with_dind), "completed") << server->log;
  ASSERT_EQ(engine.made.size(), 2u);
  const ContainerSpec& side = engine.made[0];
  EXPECT_EQ(side.name, "gantry-side-" + task.to_string() + "-0-dind");
  EXPECT_EQ(side.image, "docker:dind");
  EXPECT_TRUE(side.privileged);
  EXPECT_EQ(side.command, (std::vector<std::string>{"dockerd", "--host=unix:///run/gantry/docker.sock"}));
  ASSERT_EQ(side.mounts.size(), 1u);
  EXPECT_EQ(side.mounts[0].target, "/run/gantry");
  EXPECT_EQ(side.labels.at(agent_label), "agent");
  EXPECT_EQ(side.labels.at(side_label), task.to_string() + "/0");
  EXPECT_FALSE(run_of_labels(side.labels)) << "it is not the run's own container";
  const ContainerSpec& own = engine.made[1];
  EXPECT_FALSE(own.privileged);
  ASSERT_EQ(own.mounts.size(), 1u);
  EXPECT_EQ(own.mounts[0].type, engine::Mount::Type::bind);
  EXPECT_EQ(own.mounts[0].source, side.mounts[0].source + "/docker.sock");
  EXPECT_EQ(own.mounts[0].target, "/var/run/docker.sock");
  EXPECT_TRUE(own.mounts[0].read_only);
  EXPECT_EQ(own.network_of, "");
  expect_nothing_left();
}

TEST_F(SideTest, DindNeedsTheAgentsLeaveTheScopeAndAnImage) {
  scopes = R"({"scopes":["docker-worker:feature:dind"]})";
  EXPECT_EQ(run(with_dind), "failed");
  EXPECT_TRUE(logged("the task needs the scope docker-worker:capability:privileged")) << server->log;
  settings.allow_privileged = false;
  EXPECT_EQ(run(with_dind), "failed");
  EXPECT_TRUE(logged("Cannot run the side container \"dind\" in docker privileged mode; this agent does not allow it"));
  settings.dind_image.clear();
  EXPECT_EQ(run(with_dind), "failed");
  EXPECT_TRUE(logged("start its agent with --dind-image"));
  EXPECT_TRUE(engine.made.empty());
  expect_nothing_left();
}

TEST_F(SideTest, OneThatEndsTooSoonFailsTheTaskWithItsLastWords) {
  engine.makes_socket = false;
  engine.side_ends = true;
  engine.stored = "starting\ncannot mount cgroups\n";
  EXPECT_EQ(run(with_dind), "failed");
  EXPECT_TRUE(
      logged("side container \"dind\": it ended with exit code 7 before it was ready: starting cannot mount "
             "cgroups\n"))
      << server->log;
  expect_nothing_left();
}

TEST_F(SideTest, OneThatIsNeverReadyIsNotWaitedForForEver) {
  engine.makes_socket = false;
  EXPECT_EQ(run(with_dind), "failed");
  EXPECT_TRUE(logged("it did not make the socket /run/gantry/docker.sock within 60 s")) << server->log;
  expect_nothing_left();
}

TEST_F(SideTest, ItGoesWhateverBecomesOfTheTask) {
  engine.ends_with = 3;
  EXPECT_EQ(run(with_dind), "failed");
  expect_nothing_left();
  engine.refused_image = "x";  // the task's own
  EXPECT_EQ(run(with_dind), "failed");
  expect_nothing_left();
}

TEST_F(SideTest, OneWithAnAliasSharesItsNetwork) {
  scopes = R"({"scopes":["project:vpn"]})";
  EXPECT_EQ(run(with_vpn), "completed") << server->log;
  ASSERT_EQ(engine.made.size(), 2u);
  const ContainerSpec& side = engine.made[0];
  EXPECT_EQ(side.extra_hosts, (std::vector<std::pair<std::string, std::string>>{{"intranet", "127.0.0.1"}}));
  EXPECT_EQ(side.env, (std::vector<std::pair<std::string, std::string>>{{"REGION", "eu"}}));
  EXPECT_EQ(side.capabilities_drop, std::vector<std::string>{"NET_RAW"});
  EXPECT_TRUE(side.mounts.empty());
  EXPECT_EQ(engine.made[1].network_of, side.name);
  EXPECT_TRUE(engine.made[1].extra_hosts.empty()) << "an engine refuses them for a network that is shared";
  expect_nothing_left();
}

TEST_F(SideTest, SeveralShareTheNetworkOfTheFirst) {
  settings.side_containers["phone"] = vpn();
  settings.side_containers["phone"].alias = "phone";
  EXPECT_EQ(run({{"sideContainers", {"vpn", "phone"}}}), "completed") << server->log;
  ASSERT_EQ(engine.made.size(), 3u);
  EXPECT_EQ(engine.made[0].extra_hosts.size(), 2u);
  EXPECT_EQ(engine.made[1].network_of, engine.made[0].name);
  EXPECT_EQ(engine.made[2].network_of, engine.made[0].name);
  expect_nothing_left();
}

TEST_F(SideTest, ANameThatTheAgentDoesNotKnowIsRefusedWithTheNearest) {
  EXPECT_EQ(run({{"sideContainers", {"vpm"}}}), "failed");
  EXPECT_TRUE(logged("this worker has no side container \"vpm\"; did you mean \"vpn\"?")) << server->log;
  settings.side_containers.clear();
  EXPECT_EQ(run(with_vpn), "failed");
  EXPECT_TRUE(logged("its agent was started without --side-containers"));
}

TEST_F(SideTest, OnesOwnScopeIsNeeded) {
  scopes = R"({"scopes":["docker-worker:*"]})";
  EXPECT_EQ(run(with_vpn), "failed");
  EXPECT_TRUE(logged("Insufficient scopes to use the side container \"vpn\"; the task needs the scope project:vpn"));
}

TEST(SideContainers, FoldersOfRunsThatAreOverGo) {
  FakeEnv env;
  TemporaryDirectory directory;
  wire::RunRef kept{TaskId::random(env), 1};
  for (const std::string& name : {kept.task.to_string() + "-1", kept.task.to_string() + "-0", std::string("x")}) {
    std::filesystem::create_directories(directory.file(name) + "/dind");
  }
  clear_side_folders(directory.file("."), {kept});
  clear_side_folders(directory.file("not-there"), {});
  EXPECT_FALSE(std::filesystem::exists(directory.file("x")));
  EXPECT_FALSE(std::filesystem::exists(directory.file(kept.task.to_string() + "-0")));
}

TEST(SideContainers, LabelsTellTheRun) {
  FakeEnv env;
  TaskId task = TaskId::random(env);
  EXPECT_EQ(side_run_of_labels({{side_label, task.to_string() + "/12"}}), (wire::RunRef{task, 12}));
  for (const std::string& text :
       {std::string("x/1"), task.to_string(), task.to_string() + "/", task.to_string() + "/1x"}) {
    EXPECT_FALSE(side_run_of_labels({{side_label, text}})) << text;
  }
  EXPECT_FALSE(side_run_of_labels({}));
}

TEST(SideContainerSettings, AreReadFromAFile) {
  auto list = parse_side_containers(R"({"vpn": {"image": "vpn:3", "alias": "intranet", "privileged": true,
    "env": {"A": "b"}, "command": ["run"], "socket": "/run/vpn.sock", "memory": 100000000}, "b": {"image": "x"}})");
  ASSERT_TRUE(list) << list.error().message();
  const SideContainerSettings& vpn = list.value().at("vpn");
  EXPECT_TRUE(vpn.privileged);
  EXPECT_EQ(vpn.scope, "docker-worker:side-container:vpn");
  EXPECT_EQ(vpn.socket, "/run/vpn.sock");
  EXPECT_EQ(vpn.command, std::vector<std::string>{"run"});
  EXPECT_FALSE(list.value().at("b").privileged);
}

TEST(SideContainerSettings, FaultsAreNamed) {
  auto fault = [](std::string_view text) {
    auto list = parse_side_containers(text);
    return list ? std::string("none") : list.error().message() + "; " + list.error().hint();
  };
  EXPECT_NE(fault(R"({"a": {}})").find("a.image: is required"), std::string::npos) << fault(R"({"a": {}})");
  EXPECT_NE(fault(R"({"a": {"image": "x", "privilegd": true}})").find("did you mean \"privileged\"?"),
            std::string::npos);
  EXPECT_NE(fault(R"({"a b": {"image": "x"}})").find("cannot be the name"), std::string::npos);
  for (const char* text : {"", "[]", R"({"a": 1})", R"({"a": {"image": "-x"}})",
                           R"({"a": {"image": "x", "alias": "A B"}})", R"({"a": {"image": "x", "socket": "x"}})",
                           R"({"a": {"image": "x", "env": {"a": 1}}})", R"({"a": {"image": "x", "command": [1]}})"}) {
    EXPECT_NE(fault(text), "none") << text;
  }
}

}  // namespace
}  // namespace gantry::agent
