// engine/docker against the real Docker at DOCKER_HOST, or at the default socket: what every task does with it. Needs
// no registry. What else a worker asks of it is in engine_docker_worker_test.cc.
#include "engine_docker.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/docker/docker_json.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST_F(EngineDockerTest, InfoTellsWhatTheMachineHas) {
  EngineInfo info = loop_.run(engine_->info());
  EXPECT_THAT(info.name, testing::StartsWith("docker "));
  EXPECT_GE(info.cpus, 1);
  EXPECT_GE(info.memory_bytes, 256 << 20);
  EXPECT_THAT(info.cgroup_version, AnyOf(1, 2));
}

TEST_F(EngineDockerTest, ATaskIsCreatedAttachedStartedAwaitedAndRemoved) {
  ContainerSpec echo = spec({"sh", "-c", "echo \"$GREETING\""});
  echo.env = {{"GREETING", "hello = \"world\""}};
  Finished finished = run(echo);
  EXPECT_EQ(finished.output, "hello = \"world\"\n");
  EXPECT_EQ(finished.exit_code, 0);
  loop_.run(engine_->remove_container(finished.id));
  EXPECT_EQ(error_of(engine_->inspect_container(finished.id)), ErrorCode::not_found);
}

TEST_F(EngineDockerTest, TheExitCodeIsTheCommands) {
  for (int code : {0, 1, 5, 137, 255}) EXPECT_EQ(run(shell(fmt::format("exit {}", code))).exit_code, code);
  EXPECT_EQ(run(shell("kill -TERM $$")).exit_code, 143);
}

TEST_F(EngineDockerTest, StdoutAndStderrAreMerged) {
  Finished finished = run(shell("echo out; echo err >&2; exit 3"));
  EXPECT_THAT(finished.output, AnyOf("out\nerr\n", "err\nout\n"));
  EXPECT_EQ(finished.exit_code, 3);
}

TEST_F(EngineDockerTest, TenMegabytesOfOutputAreComplete) {
  constexpr std::size_t bytes = 10u << 20;
  Finished finished = run(shell(fmt::format("yes $(printf %099d 7) | head -c {}", bytes)));
  EXPECT_EQ(finished.exit_code, 0);
  ASSERT_EQ(finished.output.size(), bytes);
  std::string expected;
  while (expected.size() < bytes) expected += std::string(98, '0') + "7\n";
  expected.resize(bytes);
  EXPECT_TRUE(finished.output == expected);
  auto logs = loop_.run(engine_->logs(finished.id, false));
  EXPECT_TRUE(loop_.run(read_merged(logs)) == expected) << "the stored log is another one";
}

TEST_F(EngineDockerTest, TheFirstBytesOfManyShortContainersAreNotLost) {
  for (int i = 0; i < 20; ++i) ASSERT_EQ(run(spec({"echo", "hi"})).output, "hi\n");
}

TEST_F(EngineDockerTest, ALineIsDeliveredBeforeItEnds) {
  std::string id = loop_.run(engine_->create_container(shell("printf 'no newline'; sleep 1000")));
  auto output = loop_.run(engine_->attach(id));
  loop_.run(engine_->start_container(id));
  EXPECT_EQ(loop_.run(read_until(output, "no newline")), "no newline");
  loop_.run(engine_->kill_container(id, "SIGKILL"));
  EXPECT_EQ(loop_.run(read_merged(output)), "");
  EXPECT_EQ(loop_.run(engine_->wait_container(id)), 137);
}

TEST_F(EngineDockerTest, ASignalReachesTheCommandThroughInit) {
  std::string id = loop_.run(engine_->create_container(spec({"sleep", "1000"})));
  loop_.run(engine_->start_container(id));
  ContainerState state = loop_.run(engine_->inspect_container(id));
  EXPECT_TRUE(state.running);
  EXPECT_FALSE(state.created_only);
  EXPECT_GT(state.started, Time());
  loop_.run(engine_->kill_container(id, "SIGTERM"));
  EXPECT_EQ(loop_.run(engine_->wait_container(id)), 143);
  state = loop_.run(engine_->inspect_container(id));
  EXPECT_FALSE(state.running);
  EXPECT_FALSE(state.out_of_memory);
  EXPECT_GE(state.finished, state.started);
  loop_.run(engine_->kill_container(id, "SIGTERM"));
  loop_.run(engine_->remove_container(id));
  loop_.run(engine_->kill_container(id, "SIGTERM"));
}

TEST_F(EngineDockerTest, AContainerPastItsMemoryIsKilledAndSaysSo) {
  ContainerSpec greedy = spec({"tail", "/dev/zero"});
  greedy.limits.memory_bytes = 16 << 20;
  Finished finished = run(greedy);
  EXPECT_EQ(finished.exit_code, 137);
  EXPECT_TRUE(loop_.run(engine_->inspect_container(finished.id)).out_of_memory);
}

TEST_F(EngineDockerTest, AContainerCannotForkPastItsLimit) {
  ContainerSpec forker = shell("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; echo survived");
  forker.limits.pids = 8;
  Finished finished = run(forker);
  EXPECT_THAT(finished.output, HasSubstr("fork"));
  EXPECT_NE(finished.exit_code, 0);
  ContainerSpec few = shell("for i in 1 2 3; do sleep 1000 & done; echo survived");
  few.limits.pids = 8;
  EXPECT_EQ(run(few).output, "survived\n");
}

TEST_F(EngineDockerTest, LimitsReachTheKernel) {
  ContainerSpec limited = spec({"true"});
  limited.limits = {.memory_bytes = 64 << 20, .cpus = 0.5, .pids = 100};
  std::string id = loop_.run(engine_->create_container(limited));
  std::string body = raw(net::Method::get, "/containers/" + id + "/json").body;
  EXPECT_THAT(body, HasSubstr("\"Memory\":67108864,"));
  EXPECT_THAT(body, HasSubstr("\"MemorySwap\":67108864,"));
  EXPECT_THAT(body, HasSubstr("\"NanoCpus\":500000000,"));
  EXPECT_THAT(body, HasSubstr("\"PidsLimit\":100,"));
  EXPECT_THAT(body, HasSubstr("\"AutoRemove\":false,"));
  EXPECT_TRUE(loop_.run(engine_->inspect_container(id)).created_only);
}

TEST_F(EngineDockerTest, AContainerCannotGainPrivileges) {
  EXPECT_THAT(run(spec({"grep", "NoNewPrivs", "/proc/self/status"})).output, HasSubstr("1"));
}

TEST_F(EngineDockerTest, ImagesAreLookedFor) {
  EXPECT_TRUE(loop_.run(engine_->has_image(image)));
  EXPECT_FALSE(loop_.run(engine_->has_image("gantry-test/no-such-image:1")));
  ContainerSpec missing = spec({"true"});
  missing.image = "gantry-test/no-such-image:1";
  EXPECT_EQ(error_of(engine_->create_container(missing)), ErrorCode::not_found);
  EXPECT_THAT(last_error_, HasSubstr("No such image: gantry-test/no-such-image:1"));
}

TEST_F(EngineDockerTest, APullFromARegistryThatIsAwaySaysSo) {
  EXPECT_EQ(error_of(engine_->pull_image("127.0.0.1:1/team/app:v1", std::nullopt, nullptr)), ErrorCode::unavailable);
  EXPECT_THAT(last_error_, HasSubstr("image 127.0.0.1:1/team/app:v1 could not be pulled"));
  EXPECT_THAT(last_error_, HasSubstr("connection refused"));
}

TEST_F(EngineDockerTest, WhatIsMissingIsNotFound) {
  std::string id = "gantry-test-no-such-container";
  EXPECT_EQ(error_of(engine_->start_container(id)), ErrorCode::not_found);
  EXPECT_EQ(error_of(engine_->attach(id)), ErrorCode::not_found);
  EXPECT_EQ(error_of(engine_->logs(id, false)), ErrorCode::not_found);
  EXPECT_EQ(error_of(engine_->wait_container(id)), ErrorCode::not_found);
  EXPECT_EQ(error_of(engine_->inspect_container(id)), ErrorCode::not_found);
  EXPECT_EQ(error_of(engine_->copy_out(id, "/etc")), ErrorCode::not_found);
  EXPECT_THAT(last_error_, HasSubstr("No such container: " + id));
  loop_.run(engine_->kill_container(id, "SIGTERM"));
  loop_.run(engine_->remove_container(id));
  ContainerSpec lost = spec({"true"});
  lost.network = "gantry-test-no-such-network";
  EXPECT_EQ(error_of(run_to_end(*engine_, lost)), ErrorCode::not_found);
}

TEST_F(EngineDockerTest, ANameIsTakenOnce) {
  ContainerSpec first = spec({"true"});
  loop_.run(engine_->create_container(first));
  EXPECT_EQ(error_of(engine_->create_container(first)), ErrorCode::conflict);
}

TEST_F(EngineDockerTest, ACommandThatIsNotInTheImageIsTheCallersFault) {
  ContainerSpec without_init = spec({"no-such-command"});
  without_init.init = false;
  EXPECT_EQ(error_of(run_to_end(*engine_, without_init)), ErrorCode::invalid_input);
  EXPECT_THAT(last_error_, HasSubstr("no-such-command"));
  EXPECT_EQ(run(spec({"no-such-command"})).exit_code, 127) << "with init, it is init that does not find it";
}

TEST_F(EngineDockerTest, FilesAndDirectoriesAreCopiedOut) {
  std::string id = run(shell("mkdir -p /out/sub; echo one > /out/a; head -c 300000 /dev/zero > /out/sub/b; "
                             "ln -s a /out/link; echo x > '/out/ü ?&'"))
                       .id;
  auto file = loop_.run(copy_all(*engine_, id, "/out/a"));
  ASSERT_EQ(file.size(), 1u);
  EXPECT_EQ(file[0].entry.name, "a");
  EXPECT_EQ(file[0].entry.type, TarEntryType::file);
  EXPECT_EQ(file[0].content, "one\n");

  auto directory = loop_.run(copy_all(*engine_, id, "/out"));
  std::vector<std::string> names;
  for (const auto& copied : directory) names.push_back(copied.entry.name);
  std::ranges::sort(names);
  EXPECT_THAT(names, ElementsAre("out/", "out/a", "out/link", "out/sub/", "out/sub/b", "out/ü ?&"));
  EXPECT_EQ(directory[0].entry.type, TarEntryType::directory);
  for (const auto& copied : directory) {
    if (copied.entry.name == "out/sub/b") {
      EXPECT_EQ(copied.content.size(), 300000u);
    }
    if (copied.entry.name == "out/link") {
      EXPECT_EQ(copied.entry.type, TarEntryType::symbolic_link);
    }
  }
  EXPECT_EQ(loop_.run(copy_all(*engine_, id, "/out/ü ?&")).at(0).content, "x\n");
  EXPECT_EQ(error_of(copy_all(*engine_, id, "/no/such/path")), ErrorCode::not_found);
  EXPECT_THAT(last_error_, HasSubstr("/no/such/path"));
}

TEST_F(EngineDockerTest, ContainersAreListedByLabel) {
  std::string running = start(spec({"sleep", "1000"}));
  std::string ended = run(spec({"true"})).id;
  ContainerSpec other = spec({"true"});
  other.labels["other"] = "a=b \"c\"";
  std::string created = loop_.run(engine_->create_container(other));
  auto list = loop_.run(engine_->list_containers(label, run_id_));
  ASSERT_EQ(list.size(), 3u);
  for (const auto& container : list) {
    EXPECT_EQ(container.running, container.id == running);
    EXPECT_THAT(container.name, testing::StartsWith("gantry-test-" + run_id_));
    EXPECT_EQ(container.labels.at(label), run_id_);
  }
  EXPECT_TRUE(loop_.run(engine_->list_containers(label, "nobody")).empty());
  auto found = loop_.run(engine_->list_containers("other", "a=b \"c\""));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].id, created);
}

TEST_F(EngineDockerTest, RemovingAtTheSameTimeOrTwiceIsFine) {
  std::string id = start(spec({"sleep", "1000"}));
  int removed = 0;
  for (int i = 0; i < 4; ++i) {
    asio::co_spawn(loop_.executor(), engine_->remove_container(id), [&](std::exception_ptr failure) {
      EXPECT_FALSE(failure) << words(failure);
      ++removed;
    });
  }
  loop_.run_until([&] { return removed == 4; });
  loop_.run(engine_->remove_container(id));
}

TEST_F(EngineDockerTest, AWaitAfterTheExitReturnsAtOnceAndAgain) {
  std::string id = run(shell("exit 7")).id;
  EXPECT_EQ(loop_.run(engine_->wait_container(id)), 7);
  EXPECT_EQ(loop_.run(engine_->wait_container(id)), 7);
}

TEST_F(EngineDockerTest, AnotherEngineObjectFindsTheWholeLogAndTheExit) {
  std::string id = loop_.run(engine_->create_container(shell("echo one; echo two; read x < /dev/zero; sleep 1000")));
  auto output = loop_.run(engine_->attach(id));
  loop_.run(engine_->start_container(id));
  std::string seen = loop_.run(read_until(output, "two\n"));
  output.reset();  // the agent that was attached is gone
  auto later = make_docker_engine(loop_.env(), engine_url());
  auto log = loop_.run(later->logs(id, true));
  EXPECT_EQ(loop_.run(read_until(log, "two\n")), seen);
  loop_.run(later->kill_container(id, "SIGKILL"));
  EXPECT_EQ(loop_.run(read_merged(log)), "");
  EXPECT_EQ(loop_.run(later->wait_container(id)), 137);
}

TEST_F(EngineDockerTest, ACancelledWaitEndsAtOnce) {
  std::string id = start(spec({"sleep", "1000"}));
  Scope scope(loop_.executor(), "test");
  bool returned = false;
  scope.spawn("wait", [](Engine& engine, std::string waited, bool& flag) -> Async<> {
    co_await engine.wait_container(waited);
    flag = true;
  }(*engine_, id, returned));
  loop_.run(engine_->inspect_container(id));
  scope.cancel();
  loop_.run(scope.join());
  EXPECT_FALSE(returned);
}

TEST_F(EngineDockerTest, ANetworkKeepsItsContainersApart) {
  network_ = "gantry-test-" + run_id_;
  int ensured = 0;
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(loop_.executor(), engine_->ensure_network(network_), [&](std::exception_ptr failure) {
      EXPECT_FALSE(failure) << words(failure);
      ++ensured;
    });
  }
  loop_.run_until([&] { return ensured == 3; });
  loop_.run(engine_->ensure_network(network_));
  EXPECT_EQ(error_of(engine_->ensure_network("bridge")), ErrorCode::conflict) << "there, containers reach each other";

  // The same two containers once on Docker's own bridge, where one must reach the other.
  for (std::string network : {std::string("bridge"), network_}) {
    ContainerSpec server = shell("hostname -i; exec httpd -f -p 8080 -h /etc");
    server.network = network;
    std::string id = loop_.run(engine_->create_container(server));
    auto output = loop_.run(engine_->attach(id));
    loop_.run(engine_->start_container(id));
    std::string address = loop_.run(read_until(output, "\n"));
    address.resize(address.find_first_of(" \n"));
    ContainerSpec client =
        shell(fmt::format("for i in 1 2 3; do printf 'GET /passwd HTTP/1.0\\r\\n\\r\\n' | nc -w 1 {} 8080 && exit 0; "
                          "usleep 100000; done; exit 9",
                          address));
    client.network = network;
    Finished finished = run(client);
    if (network == "bridge") {
      EXPECT_THAT(finished.output, HasSubstr("root:x:0:0"));
    } else {
      EXPECT_EQ(finished.exit_code, 9) << finished.output;
      EXPECT_THAT(finished.output, Not(HasSubstr("root:x:0:0")));
    }
    loop_.run(engine_->remove_container(id));
    loop_.run(engine_->remove_container(finished.id));
  }
}

/// Time runs a hundred times as fast for deadlines.
class HurriedEnv : public SystemEnv {
 public:
  using SystemEnv::SystemEnv;
  TimerId call_after(Duration delay, std::move_only_function<void()> callback) override {
    return SystemEnv::call_after(delay / 100, std::move(callback));
  }
};

class EngineAwayTest : public testing::Test {
 protected:
  EngineAwayTest() : env_(loop_.io()) {
    std::string pattern = (fs::temp_directory_path() / "gantry-away-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    path_ = root_ + "/docker.sock";
  }
  ~EngineAwayTest() override {
    if (socket_ >= 0) ::close(socket_);
    fs::remove_all(root_);
  }
  void bind_socket() {
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  Error error() {
    auto engine = make_docker_engine(env_, "unix://" + path_);
    auto failure = loop_.error_of_running(engine->info());
    return failure ? *failure : Error(ErrorCode::internal, "no error");
  }

  TestLoop loop_;
  HurriedEnv env_;
  std::string root_;
  std::string path_;
  int socket_ = -1;
};

TEST_F(EngineAwayTest, NoSocket) {
  Error failure = error();
  EXPECT_EQ(failure.code(), ErrorCode::unavailable);
  EXPECT_THAT(failure.message(), HasSubstr(path_));
  EXPECT_THAT(failure.message(), HasSubstr("no such file or directory"));
  EXPECT_THAT(failure.hint(), HasSubstr("Docker daemon"));
}

TEST_F(EngineAwayTest, NobodyListens) {
  bind_socket();
  Error failure = error();
  EXPECT_EQ(failure.code(), ErrorCode::unavailable);
  EXPECT_THAT(failure.message(), HasSubstr("connection refused"));
}

TEST_F(EngineAwayTest, NobodyAnswers) {
  bind_socket();
  ASSERT_EQ(::listen(socket_, 8), 0);
  Error failure = error();
  EXPECT_EQ(failure.code(), ErrorCode::deadline_exceeded);
  EXPECT_THAT(failure.message(), HasSubstr(path_));
  EXPECT_THAT(failure.hint(), HasSubstr("hangs"));
}

TEST_F(EngineAwayTest, AnUrlOfAnotherKindIsRefused) {
  EXPECT_THROW(make_docker_engine(env_, "ssh://host"), Error);
  EXPECT_THROW(make_docker_engine(env_, ""), Error);
}

}  // namespace
}  // namespace gantry::engine
