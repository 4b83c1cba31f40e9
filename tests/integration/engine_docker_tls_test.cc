// engine/docker over TLS with certificates on both sides, against a Docker of the test's own on a free port and a
// bridge of its own: root, dockerd, openssl and ip are needed, else the test is skipped. Certificates are made with
// openssl(1).
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine_docker.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::HasSubstr;

constexpr std::string_view subnet = "198.18.255.1/30";  // of the range for tests between networks
constexpr Duration start_timeout = seconds(60);
constexpr Duration stop_timeout = seconds(20);
constexpr Duration poll_delay = milliseconds(100);

int free_port() {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

/// Certificates of an authority, a server at 127.0.0.1 and a client: <directory>/{ca,server,cert}.pem and their keys.
void make_certificates(const std::string& directory) {
  std::string script = R"(set -e; cd "$0"; exec >openssl.log 2>&1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=test authority' \
  -keyout ca-key.pem -out ca.pem
sign() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$2" -out request.pem
  echo "$4" >extensions
  openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile extensions -out "$3"
}
sign server server-key.pem server.pem 'subjectAltName=IP:127.0.0.1
extendedKeyUsage=serverAuth'
sign client key.pem cert.pem 'extendedKeyUsage=clientAuth')";
  std::ofstream(directory + "/make.sh") << script;
  ASSERT_EQ(std::system(("sh -c '. \"$0/make.sh\"' " + directory).c_str()), 0) << "see " << directory;
}

class EngineDockerTlsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can start a Docker of its own";
    if (std::system("(command -v dockerd && command -v openssl && command -v ip) >/dev/null") != 0) {
      GTEST_SKIP() << "dockerd, openssl or ip is missing";
    }
    char pattern[] = "/tmp/gantry-tls-XXXXXX";  // short: Docker puts sockets into it
    root_ = ::mkdtemp(pattern);
    make_certificates(root_);
    url_ = fmt::format("tcp://127.0.0.1:{}", port_ = free_port());
    // A bridge of its own: with none at all, a Docker would remove docker0, which is another one's.
    bridge_ = fmt::format("gantry{}", ::getpid());
    std::string make_bridge = fmt::format("ip link add {0} type bridge && ip addr add {1} dev {0}", bridge_, subnet);
    ASSERT_EQ(std::system(make_bridge.c_str()), 0);
    start_docker();
  }
  void TearDown() override {
    if (process_ > 0) stop_docker();
    if (!bridge_.empty()) EXPECT_EQ(std::system(fmt::format("ip link delete {}", bridge_).c_str()), 0);
    if (!root_.empty()) fs::remove_all(root_);
  }

  void start_docker() {
    std::vector<std::string> words = {"dockerd",
                                      "--host=" + url_,
                                      "--tlsverify",
                                      "--tlscacert=" + root_ + "/ca.pem",
                                      "--tlscert=" + root_ + "/server.pem",
                                      "--tlskey=" + root_ + "/server-key.pem",
                                      "--data-root=" + root_ + "/data",
                                      "--exec-root=" + root_ + "/exec",
                                      "--pidfile=" + root_ + "/pid",
                                      "--storage-driver=vfs",
                                      "--bridge=" + bridge_,
                                      "--iptables=false",
                                      "--ip6tables=false"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    std::string log = root_ + "/log";
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    ASSERT_EQ(::posix_spawnp(&process_, "dockerd", &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }

  void stop_docker() {
    ::kill(process_, SIGTERM);
    Duration end = loop_.env().uptime() + stop_timeout;
    while (::waitpid(process_, nullptr, WNOHANG) == 0) {
      if (loop_.env().uptime() > end) ::kill(process_, SIGKILL);
      loop_.run(loop_.env().sleep(poll_delay));
    }
  }

  /// Once it answers; nothing if it does not come up here.
  std::optional<EngineInfo> info_of(Engine& engine) {
    Duration end = loop_.env().uptime() + start_timeout;
    for (;;) {
      try {
        return loop_.run(engine.info());
      } catch (const Error& error) {
        last_error_ = error.message();
      }
      bool over = loop_.env().uptime() > end || ::waitpid(process_, nullptr, WNOHANG) != 0;
      if (over) return std::nullopt;
      loop_.run(loop_.env().sleep(poll_delay));
    }
  }

  TestLoop loop_;
  std::string root_;
  std::string url_;
  std::string bridge_;
  std::string last_error_;
  int port_ = 0;
  pid_t process_ = 0;
};

TEST_F(EngineDockerTlsTest, BothSidesShowCertificates) {
  auto engine = make_docker_engine(loop_.env(), url_, root_);
  auto info = info_of(*engine);
  std::ifstream log(root_ + "/log");
  ASSERT_TRUE(info) << last_error_ << "\n" << std::string(std::istreambuf_iterator<char>(log), {});
  EXPECT_THAT(info->name, testing::StartsWith("docker "));
  EXPECT_EQ(info->data_root, root_ + "/data");
  EXPECT_EQ(info->storage_driver, "vfs");

  // As the docker command has it.
  ::setenv("DOCKER_TLS_VERIFY", "1", 1);
  ::setenv("DOCKER_CERT_PATH", root_.c_str(), 1);
  auto of_environment = make_docker_engine(loop_.env(), url_);
  EXPECT_FALSE(loop_.error_of_running(of_environment->list_images()));
  ::unsetenv("DOCKER_TLS_VERIFY");
  ::unsetenv("DOCKER_CERT_PATH");

  auto in_clear = make_docker_engine(loop_.env(), url_);
  EXPECT_TRUE(loop_.error_of_running(in_clear->info())) << "a client without TLS was served";

  // Signed by an authority that the engine does not know, and that does not know the engine.
  std::string stranger = root_ + "/stranger";
  fs::create_directory(stranger);
  make_certificates(stranger);
  auto distrusting = make_docker_engine(loop_.env(), url_, stranger);
  auto error = loop_.error_of_running(distrusting->info());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_THAT(error->message(), HasSubstr("certificate"));
  fs::copy_file(root_ + "/ca.pem", stranger + "/ca.pem", fs::copy_options::overwrite_existing);
  auto unknown = make_docker_engine(loop_.env(), url_, stranger);
  error = loop_.error_of_running(unknown->info());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
}

Async<std::string> cat(Engine& engine, std::string id, std::string bytes) {
  auto session = co_await engine.exec(id, {.command = {"cat"}, .open_stdin = true});
  co_await session->write(std::move(bytes));
  co_await session->close_input();
  std::string all;
  for (;;) {
    Output piece = co_await session->read();
    if (piece.bytes.empty()) break;
    all += piece.bytes;
  }
  if (int code = co_await session->exit_code(); code != 0) throw Error(ErrorCode::internal, "cat ended with an error");
  co_return all;
}

/// The image comes from one Docker and goes into the other as it comes.
Async<> copy_image(Engine& from, Engine& to, std::string image) {
  auto tar = co_await from.save_image(image);
  co_await to.load_image(std::move(tar), -1);
}

TEST_F(EngineDockerTlsTest, AnInputEndsAndItsOutputGoesOn) {
  EngineDockerTest::SetUpTestSuite();
  auto engine = make_docker_engine(loop_.env(), url_, root_);
  ASSERT_TRUE(info_of(*engine)) << last_error_;
  auto with_image = make_docker_engine(loop_.env(), engine_url());
  loop_.run(copy_image(*with_image, *engine, image));
  ContainerSpec spec;
  spec.name = "gantry-test-tls";
  spec.image = image;
  spec.command = {"sleep", "1000"};
  spec.network = "none";
  std::string id = loop_.run(engine->create_container(spec));
  loop_.run(engine->start_container(id));
  EXPECT_EQ(loop_.run(cat(*engine, id, "said through TLS")), "said through TLS");
  loop_.run(engine->remove_container(id));
}

}  // namespace
}  // namespace gantry::engine
