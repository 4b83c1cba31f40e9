// engine/docker against the real Docker, as engine_docker_test.cc: volumes, devices, privileges, terminals, commands in
// running containers, images without a registry, and a registry that wants a login.
#include <filesystem>
#include <fstream>

#include <stdlib.h>
#include <unistd.h>

#include "base/base64.h"
#include "engine_docker.h"
#include "net/http_server.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Async<std::string> read_body(std::shared_ptr<net::BodyReader> body) {
  co_return co_await net::read_all(*body, output_bytes_max);
}

/// Everything a command in a container writes, both streams apart.
struct Said {
  std::string out;
  std::string err;
  int exit_code = -1;
};

Async<Said> read_to_end(std::shared_ptr<ExecSession> session) {
  Said said;
  for (;;) {
    Output piece = co_await session->read();
    if (piece.bytes.empty()) break;
    (piece.stream == 2 ? said.err : said.out) += piece.bytes;
  }
  said.exit_code = co_await session->exit_code();
  co_return said;
}

Async<Said> exec_to_end(Engine& engine, std::string id, ExecSpec spec) {
  auto session = co_await engine.exec(std::move(id), std::move(spec));
  co_return co_await read_to_end(std::move(session));
}

Async<std::string> read_until_said(std::shared_ptr<ExecSession> session, std::string text) {
  std::string all;
  while (all.find(text) == std::string::npos) {
    Output piece = co_await session->read();
    if (piece.bytes.empty()) throw Error(ErrorCode::internal, "the command ended with: " + all);
    all += piece.bytes;
  }
  co_return all;
}

std::string shell_output(const std::string& command) {
  std::string bytes;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (!pipe) return bytes;
  char piece[4096];
  while (std::size_t count = ::fread(piece, 1, sizeof piece, pipe)) bytes.append(piece, count);
  ::pclose(pipe);
  return bytes;
}

class EngineDockerWorkerTest : public EngineDockerTest {
 protected:
  EngineDockerWorkerTest() {
    std::string pattern = (fs::temp_directory_path() / "gantry-worker-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    made_image_ = fmt::format("gantry-test-made-{}", ::getpid());
  }
  ~EngineDockerWorkerTest() override {
    for (const auto& container : loop_.run(engine_->list_containers(label, run_id_))) {
      loop_.run(engine_->remove_container(container.id));
    }
    for (const auto& volume : loop_.run(engine_->list_volumes(label, run_id_))) {
      loop_.run(engine_->remove_volume(volume.name));
    }
    for (std::string tag : {":1", ":2"}) loop_.run(engine_->remove_image(made_image_ + tag));
    fs::remove_all(directory_);
  }
  std::string make_volume(std::string suffix = "") {
    std::string name = "gantry-test-" + run_id_ + suffix;
    loop_.run(engine_->create_volume(name, {{label, run_id_}}));
    return name;
  }
  /// The capabilities that a container of this kind has.
  std::uint64_t capabilities(void (*change)(ContainerSpec&)) {
    ContainerSpec asks = spec({"sed", "-n", "s/^CapEff:\t//p", "/proc/self/status"});
    change(asks);
    return std::stoull(run(asks).output, nullptr, 16);
  }
  std::shared_ptr<ExecSession> exec(const std::string& id, ExecSpec asked) {
    return loop_.run(engine_->exec(id, std::move(asked)));
  }

  std::string directory_;
  std::string made_image_;
};

TEST_F(EngineDockerWorkerTest, AVolumeKeepsItsFilesAndIsRemovedWhenNobodyHasIt) {
  std::string name = make_volume();
  loop_.run(engine_->create_volume(name, {{"other", "1"}}));
  auto volumes = loop_.run(engine_->list_volumes(label, run_id_));
  ASSERT_EQ(volumes.size(), 1u);
  EXPECT_EQ(volumes[0].name, name);
  EXPECT_FALSE(volumes[0].labels.contains("other"));
  EXPECT_GT(volumes[0].created, Time());

  ContainerSpec writes = shell("echo kept > /cache/file");
  writes.mounts = {{Mount::Type::volume, name, "/cache", false}};
  std::string writer = run(writes).id;
  ContainerSpec reads = shell("cat /cache/file; echo no > /cache/file");
  reads.mounts = {{Mount::Type::volume, name, "/cache", true}};
  Finished reader = run(reads);
  EXPECT_THAT(reader.output, HasSubstr("kept\n"));
  EXPECT_THAT(reader.output, HasSubstr("Read-only file system"));
  EXPECT_NE(reader.exit_code, 0);

  loop_.run(engine_->remove_container(writer));
  EXPECT_EQ(error_of(engine_->remove_volume(name)), ErrorCode::conflict);
  EXPECT_THAT(last_error_, HasSubstr(name));
  loop_.run(engine_->remove_container(reader.id));
  EXPECT_EQ(loop_.run(engine_->list_volumes(label, run_id_)).size(), 1u) << "a named volume outlives its containers";
  loop_.run(engine_->remove_volume(name));
  loop_.run(engine_->remove_volume(name));
  EXPECT_THAT(loop_.run(engine_->list_volumes(label, run_id_)), IsEmpty());
}

TEST_F(EngineDockerWorkerTest, DirectoriesOfTheMachineAreBound) {
  std::ofstream(directory_ + "/given") << "from outside\n";
  ContainerSpec bound = shell("cat /ro/given; echo x > /ro/new; echo inside > /rw/made");
  bound.mounts = {{Mount::Type::bind, directory_, "/ro", true}, {Mount::Type::bind, directory_, "/rw", false}};
  Finished finished = run(bound);
  EXPECT_THAT(finished.output, HasSubstr("from outside\n"));
  EXPECT_THAT(finished.output, HasSubstr("Read-only file system"));
  EXPECT_EQ(finished.exit_code, 0);
  std::ifstream made(directory_ + "/made");
  std::string line;
  std::getline(made, line);
  EXPECT_EQ(line, "inside");
  EXPECT_FALSE(fs::exists(directory_ + "/new"));

  ContainerSpec lost = shell("true");
  lost.mounts = {{Mount::Type::bind, directory_ + "/no-such", "/x", false}};
  EXPECT_EQ(error_of(engine_->create_container(lost)), ErrorCode::invalid_input);
  EXPECT_THAT(last_error_, HasSubstr(directory_ + "/no-such"));
}

TEST_F(EngineDockerWorkerTest, CapabilitiesAreGivenAndTaken) {
  constexpr std::uint64_t ptrace = 1u << 19, raw_network = 1u << 13;
  std::uint64_t usual = capabilities([](ContainerSpec&) {});
  std::uint64_t changed = capabilities([](ContainerSpec& asked) {
    asked.capabilities_add = {"SYS_PTRACE"};
    asked.capabilities_drop = {"NET_RAW"};
  });
  EXPECT_EQ(usual & ptrace, 0u);
  EXPECT_NE(usual & raw_network, 0u);
  EXPECT_EQ(changed, (usual | ptrace) & ~raw_network);
}

TEST_F(EngineDockerWorkerTest, ThePrivilegedHaveAll) {
  ContainerSpec privileged = shell("grep -E 'NoNewPrivs|CapEff' /proc/self/status");
  privileged.privileged = true;
  std::string id = loop_.run(engine_->create_container(privileged));
  std::string inspected = raw(net::Method::get, "/containers/" + id + "/json").body;
  EXPECT_THAT(inspected, HasSubstr("\"Privileged\":true"));
  EXPECT_THAT(inspected, Not(HasSubstr("no-new-privileges")));
  auto output = loop_.run(engine_->attach(id));
  if (auto error = loop_.error_of_running(engine_->start_container(id))) {
    // An engine that is inside a container itself has not all capabilities to give.
    EXPECT_THAT(error->message(), HasSubstr("unable to apply caps"));
    return;
  }
  std::string said = loop_.run(read_merged(output));
  EXPECT_THAT(said, HasSubstr("NoNewPrivs:\t0"));
  constexpr std::uint64_t admin = 1u << 21;
  EXPECT_NE(std::stoull(said.substr(said.find("CapEff:\t") + 8), nullptr, 16) & admin, 0u) << said;
}

TEST_F(EngineDockerWorkerTest, ADeviceIsSeenUnderItsName) {
  ContainerSpec with = shell("test -c /dev/given && echo x > /dev/given");
  with.devices = {{"/dev/full", "/dev/given", "rw"}};
  EXPECT_THAT(run(with).output, HasSubstr("No space left on device"));
  ContainerSpec lost = shell("true");
  lost.devices = {{"/dev/gantry-no-such-device", "", "rwm"}};
  EXPECT_NE(error_of(run_to_end(*engine_, lost)), ErrorCode::internal);
  EXPECT_THAT(last_error_, HasSubstr("/dev/gantry-no-such-device"));
}

TEST_F(EngineDockerWorkerTest, WhatElseASpecificationSays) {
  ContainerSpec asked = spec({"-c", "id -u; pwd; nproc; grep /dev/shm /proc/mounts; cat /etc/hosts"});
  asked.entrypoint = {"/bin/sh"};
  asked.user = "1234:1234";
  asked.working_directory = "/tmp";
  asked.cpuset = "0";
  asked.shm_bytes = 128 << 20;
  asked.extra_hosts = {{"taskcluster", "10.1.2.3"}};
  asked.network = "bridge";
  std::string output = run(asked).output;
  EXPECT_THAT(output, testing::StartsWith("1234\n/tmp\n1\n"));
  EXPECT_THAT(output, HasSubstr("size=131072k"));
  EXPECT_THAT(output, HasSubstr("10.1.2.3\ttaskcluster"));
}

TEST_F(EngineDockerWorkerTest, ALimitOnTheDiskIsKeptOrRefusedWithTheReason) {
  ContainerSpec limited = shell("true");
  limited.disk_bytes = std::int64_t{1} << 30;
  auto error = loop_.error_of_running(engine_->create_container(limited));
  if (!error) return;  // a storage driver with quotas
  EXPECT_EQ(error->code(), ErrorCode::unsupported) << error->message();
  EXPECT_THAT(error->message(), HasSubstr("cannot limit what a container writes"));
}

TEST_F(EngineDockerWorkerTest, ATerminalHasOneStream) {
  ContainerSpec asked = shell("test -t 1 && echo terminal; echo err >&2; exit 3");
  asked.tty = true;
  Finished finished = run(asked);
  EXPECT_EQ(finished.output, "terminal\r\nerr\r\n");
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_TRUE(loop_.run(engine_->inspect_container(finished.id)).tty);
  EXPECT_EQ(loop_.run(read_merged(loop_.run(engine_->logs(finished.id, false)))), finished.output);
  auto later = make_docker_engine(loop_.env(), engine_url());  // it did not make this container
  EXPECT_EQ(loop_.run(read_merged(loop_.run(later->logs(finished.id, true)))), finished.output);
}

TEST_F(EngineDockerWorkerTest, AContainerSharesTheNetworkOfAnother) {
  ContainerSpec server = shell("httpd -f -p 127.0.0.1:8080 -h /etc");
  server.network = "bridge";
  std::string id = start(server);
  ContainerState state = loop_.run(engine_->inspect_container(id));
  EXPECT_GT(state.pid, 0);
  NetworkInfo network = loop_.run(engine_->network_info("bridge"));
  ASSERT_THAT(network.subnet, HasSubstr("/"));
  EXPECT_EQ(state.address.substr(0, state.address.find('.')), network.subnet.substr(0, network.subnet.find('.')));
  EXPECT_NE(network.gateway, "");
  ContainerSpec beside = shell(
      "for i in 1 2 3 4 5; do wget -q -O - http://127.0.0.1:8080/passwd && exit 0; "
      "usleep 200000; done; exit 9");
  beside.network_of = id;
  EXPECT_THAT(run(beside).output, HasSubstr("root:x:0:0"));
  EXPECT_EQ(error_of(engine_->network_info("gantry-test-no-such-network")), ErrorCode::not_found);
}

TEST_F(EngineDockerWorkerTest, ACommandRunsInAContainer) {
  ContainerSpec waits = spec({"cat"});
  waits.open_stdin = true;  // without it, cat would be at its end at once
  std::string id = start(waits);
  auto session = exec(id, {.command = {"sh", "-c", "cat; echo \"$WORD in $(pwd)\" >&2; exit 7"},
                           .env = {{"WORD", "said"}},
                           .working_directory = "/tmp",
                           .open_stdin = true});
  loop_.run(session->write("hello "));
  EXPECT_EQ(loop_.run(read_until_said(session, "hello ")), "hello ");
  loop_.run(session->write("world"));
  loop_.run(session->close_input());
  Said said = loop_.run(read_to_end(session));
  EXPECT_EQ(said.out, "world");
  EXPECT_EQ(said.err, "said in /tmp\n");
  EXPECT_EQ(said.exit_code, 7);

  Said as_user = loop_.run(read_to_end(exec(id, {.command = {"id", "-u"}, .user = "1234"})));
  EXPECT_EQ(as_user.out, "1234\n");
  EXPECT_EQ(as_user.exit_code, 0);
}

TEST_F(EngineDockerWorkerTest, AMegabyteGoesThroughACommandAndBack) {
  std::string id = start(spec({"sleep", "1000"}));
  auto session = exec(id, {.command = {"cat"}, .open_stdin = true});
  std::string bytes(1u << 20, 'x');
  Scope scope(loop_.executor(), "test");
  scope.spawn("write", [](std::shared_ptr<ExecSession> to, std::string all) -> Async<> {
    co_await to->write(std::move(all));
    co_await to->close_input();
  }(session, bytes));
  Said said = loop_.run(read_to_end(session));
  loop_.run(scope.join());
  EXPECT_TRUE(said.out == bytes) << said.out.size();
  EXPECT_EQ(said.exit_code, 0);
}

TEST_F(EngineDockerWorkerTest, ATerminalInAContainerIsResized) {
  std::string id = start(spec({"sleep", "1000"}));
  auto session = exec(id, {.command = {"sh"}, .tty = true, .open_stdin = true});
  loop_.run(session->resize(41, 123));
  loop_.run(session->write("stty size\n"));
  EXPECT_THAT(loop_.run(read_until_said(session, "41 123")), HasSubstr("stty size\r\n"));
  EXPECT_EQ(error_of(session->resize(0, 80)), ErrorCode::invalid_input);
  loop_.run(session->write("exit 3\n"));
  EXPECT_EQ(loop_.run(read_to_end(session)).exit_code, 3);
  loop_.run(session->resize(24, 80));  // too late, which is fine
}

TEST_F(EngineDockerWorkerTest, ACommandThatCannotRunSaysWhy) {
  std::string id = start(spec({"sleep", "1000"}));
  std::string told;
  try {
    Said said = loop_.run(exec_to_end(*engine_, id, {.command = {"no-such-command"}}));
    EXPECT_THAT(said.exit_code, AnyOf(126, 127));
    told = said.out + said.err;
  } catch (const Error& error) {  // newer engines notice before they hand the connection over
    told = error.message();
  }
  EXPECT_THAT(told, HasSubstr("no-such-command"));
  loop_.run(engine_->kill_container(id, "SIGKILL"));
  loop_.run(engine_->wait_container(id));
  EXPECT_EQ(error_of(engine_->exec(id, {.command = {"true"}})), ErrorCode::conflict);
  EXPECT_EQ(error_of(engine_->exec("gantry-test-no-such", {.command = {"true"}})), ErrorCode::not_found);
}

TEST_F(EngineDockerWorkerTest, AContainerBecomesAnImageThatIsSavedAndLoaded) {
  std::string one = made_image_ + ":1";
  std::string two = made_image_ + ":2";
  std::string maker = run(shell("echo made > /made")).id;
  std::string id = loop_.run(engine_->commit_container(maker, one));
  auto info = loop_.run(engine_->inspect_image(one));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->id, id);
  EXPECT_THAT(info->tags, ElementsAre(one));
  EXPECT_THAT(info->digests, IsEmpty());
  EXPECT_GT(info->bytes, 100'000);
  EXPECT_GT(info->created, Time());

  loop_.run(engine_->tag_image(one, two));
  bool listed = false;
  for (const ImageInfo& other : loop_.run(engine_->list_images())) {
    if (other.id != id) continue;
    listed = true;
    EXPECT_THAT(other.tags, testing::UnorderedElementsAre(one, two));
    EXPECT_EQ(other.bytes, info->bytes);
  }
  EXPECT_TRUE(listed);

  ContainerSpec uses = spec({"cat", "/made"});
  uses.image = one;
  Finished user = run(uses);
  EXPECT_EQ(user.output, "made\n");
  auto containers = loop_.run(engine_->list_containers(label, run_id_));
  for (const auto& container : containers) {
    EXPECT_GT(container.created, Time());
    if (container.id == user.id) EXPECT_EQ(container.image_id, id);
  }

  std::string saved = loop_.run(read_body(loop_.run(engine_->save_image(one))));
  loop_.run(engine_->remove_image(two));
  EXPECT_EQ(error_of(engine_->remove_image(one)), ErrorCode::conflict);
  EXPECT_THAT(last_error_, HasSubstr(one));
  loop_.run(engine_->remove_container(user.id));
  loop_.run(engine_->remove_image(one));
  loop_.run(engine_->remove_image(one));
  EXPECT_FALSE(loop_.run(engine_->inspect_image(one)));

  auto bytes = static_cast<std::int64_t>(saved.size());
  EXPECT_THAT(loop_.run(engine_->load_image(std::make_shared<net::StringBody>(saved), bytes)), ElementsAre(one));
  EXPECT_THAT(loop_.run(engine_->load_image(std::make_shared<net::StringBody>(saved), -1)), ElementsAre(one));
  info = loop_.run(engine_->inspect_image(one));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->id, id);

  EXPECT_EQ(error_of(engine_->save_image("gantry-test-no-such:1")), ErrorCode::not_found);
  EXPECT_EQ(error_of(engine_->tag_image("gantry-test-no-such:1", two)), ErrorCode::not_found);
  EXPECT_EQ(error_of(engine_->commit_container("gantry-test-no-such", two)), ErrorCode::not_found);
}

TEST_F(EngineDockerWorkerTest, WhatIsNoImageIsNotLoaded) {
  std::ofstream(directory_ + "/file") << "no image\n";
  std::string tar = shell_output("tar -C " + directory_ + " -c file");
  for (const std::string& bytes : {std::string("no archive"), std::string(100'000, 'x'), tar, tar.substr(0, 700)}) {
    auto size = static_cast<std::int64_t>(bytes.size());
    auto work = engine_->load_image(std::make_shared<net::StringBody>(bytes), size);
    EXPECT_EQ(error_of(std::move(work)), ErrorCode::invalid_input) << bytes.size() << " bytes";
    EXPECT_THAT(last_error_, HasSubstr("could not be loaded"));
  }
}

TEST_F(EngineDockerWorkerTest, FilesAreCopiedIn) {
  std::ofstream(directory_ + "/given") << "copied\n";
  std::string tar = shell_output("tar -C " + directory_ + " -c given");
  std::string id = loop_.run(engine_->create_container(shell("cat /tmp/given")));
  auto bytes = static_cast<std::int64_t>(tar.size());
  loop_.run(engine_->copy_in(id, "/tmp", std::make_shared<net::StringBody>(tar), bytes));
  auto output = loop_.run(engine_->attach(id));
  loop_.run(engine_->start_container(id));
  EXPECT_EQ(loop_.run(read_merged(output)), "copied\n");
  EXPECT_EQ(error_of(engine_->copy_in(id, "/no/such", std::make_shared<net::StringBody>(tar), -1)),
            ErrorCode::not_found);
  EXPECT_THAT(last_error_, HasSubstr("/no/such"));
}

/// A registry that wants a login and has no images.
class Registry : public net::Handler {
 public:
  Async<net::Response> handle(net::Request request) override {
    net::Response response;
    authorization = std::string(request.headers.get("Authorization"));
    response.status = authorization.empty() ? 401 : 404;
    if (authorization.empty()) response.headers.add("WWW-Authenticate", "Basic realm=\"test\"");
    response.headers.add("Docker-Distribution-Api-Version", "registry/2.0");
    response.headers.add("Content-Type", "application/json");
    response.body = authorization.empty()
                        ? R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})"
                        : R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})";
    co_return response;
  }
  std::string authorization;
};

/// Only where the engine is on this machine, with overlay2, and this process may read what is its own.
TEST_F(EngineDockerWorkerTest, AFileOfAnEndedContainerIsReadWhereItLies) {
  if (::geteuid() != 0 || !engine_url().starts_with("unix://")) {
    GTEST_SKIP() << "the engine's files cannot be read from here";
  }
  auto content = [&](const std::string& id, const std::string& path) -> std::optional<std::string> {
    auto file = loop_.run(engine_->open_file(id, path));
    if (!file) return std::nullopt;
    std::string all = loop_.run(net::read_all(*file->body, 1 << 20));
    EXPECT_EQ(static_cast<std::int64_t>(all.size()), file->bytes);
    return all;
  };
  ContainerSpec first = spec({"sh", "-c",
                              "mkdir -p /made/deep && seq 100000 > /made/deep/file && ln -s /etc/passwd /link &&"
                              " ln -s /made/deep /way && mkfifo /pipe && : > /empty && echo in > /cache/file &&"
                              " echo other > /etc/motd"});
  first.mounts = {{Mount::Type::volume, make_volume(), "/cache", false}};
  Finished done = run(first);
  ASSERT_EQ(done.exit_code, 0) << done.output;
  std::string all;
  for (int i = 1; i <= 100'000; ++i) all += std::to_string(i) + "\n";
  EXPECT_EQ(content(done.id, "/made/deep/file"), all);
  EXPECT_EQ(content(done.id, "//made/deep//file"), all);
  EXPECT_EQ(content(done.id, "/etc/motd"), "other\n");
  for (const char* path : {"/link", "/way/file", "/pipe", "/empty", "/cache/file", "/made", "/", "/none", "/bin/sh",
                           "/etc/hosts", "/made/../made/deep/file", "made/deep/file", ""}) {
    EXPECT_EQ(content(done.id, path), std::nullopt) << path;
  }
  loop_.run(engine_->remove_container(done.id));
  EXPECT_EQ(error_of(engine_->open_file(done.id, "/made/deep/file")), ErrorCode::not_found);
}

TEST_F(EngineDockerWorkerTest, ALoginReachesTheRegistry) {
  Registry registry;
  net::HttpServer server(loop_.env(), "127.0.0.1:0", registry);
  server.start();
  std::string host = fmt::format("127.0.0.1:{}", server.port());
  EXPECT_EQ(error_of(engine_->pull_image(host + "/team/app:1", std::nullopt, nullptr)), ErrorCode::not_authorized);
  RegistryLogin login{"me", "a-secret-word?>~", host};
  EXPECT_EQ(error_of(engine_->pull_image(host + "/team/app:1", login, nullptr)), ErrorCode::not_found);
  EXPECT_EQ(registry.authorization, "Basic " + base64_encode("me:a-secret-word?>~"));
  EXPECT_THAT(last_error_, Not(HasSubstr("a-secret-word")));
  loop_.run(server.stop(seconds(1)));
}

}  // namespace
}  // namespace gantry::engine
