// The engine against a transport that plays Docker from a script: what is asked, in which order, and what is made of
// the answers that a real one gives seldom. The real one is in tests/integration/engine_docker_test.cc.
#include "engine/docker/docker_engine.h"

#include <deque>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/docker/limits.h"
#include "engine/test_loop.h"

namespace gantry::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view plain = R"({"Id":"a","State":{"Status":"running","Running":true,"ExitCode":0}})";
constexpr std::string_view terminal =
    R"({"Id":"a","State":{"Status":"running","Running":true,"ExitCode":0},"Config":{"Tty":true}})";

struct Answer {
  int status = 200;
  std::string body;
  std::optional<Error> error;  // instead
};

class ScriptedTransport : public net::Transport {
 public:
  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t) override {
    Answer answer = take(request);
    co_return net::IncomingResponse{answer.status, {}, std::move(answer.body)};
  }
  Async<net::OpenResponse> open(net::OutgoingRequest request) override {
    Answer answer = take(request);
    co_return net::OpenResponse{{answer.status, {}, {}}, std::make_shared<net::StringBody>(std::move(answer.body))};
  }
  Async<std::shared_ptr<net::RawStream>> upgrade(net::OutgoingRequest request, std::string) override {
    take(request);
    co_return nullptr;
  }

  std::deque<Answer> answers;
  std::vector<std::string> requests;
  net::Headers headers;  // of the last one

 private:
  Answer take(const net::OutgoingRequest& request) {
    headers = request.headers;
    requests.push_back(std::string(net::method_name(request.method)) + " " + request.target);
    if (answers.empty()) throw Error(ErrorCode::internal, "the script has no answer for " + requests.back());
    Answer answer = std::move(answers.front());
    answers.pop_front();
    if (answer.error) throw *answer.error;
    return answer;
  }
};

class DockerEngineTest : public testing::Test {
 protected:
  DockerEngineTest() {
    transport_->answers.push_back({200, R"({"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"})", {}});
  }
  void answer(int status, std::string body = "") { transport_->answers.push_back({status, std::move(body), {}}); }
  void fail(ErrorCode code) { transport_->answers.push_back({0, "", Error(code, "the socket says no")}); }
  std::vector<std::string> requests() const {
    return {transport_->requests.begin() + (transport_->requests.empty() ? 0 : 1), transport_->requests.end()};
  }

  TestLoop loop_;
  std::shared_ptr<ScriptedTransport> transport_ = std::make_shared<ScriptedTransport>();
  std::unique_ptr<Engine> engine_ = make_docker_engine(loop_.env(), transport_);
};

TEST_F(DockerEngineTest, TheVersionIsNegotiatedOnce) {
  answer(204);
  answer(304);
  loop_.run(engine_->start_container("a"));
  loop_.run(engine_->start_container("a"));
  EXPECT_THAT(transport_->requests,
              ElementsAre("GET /version", "POST /v1.41/containers/a/start", "POST /v1.41/containers/a/start"));
}

TEST_F(DockerEngineTest, AnOldEngineIsRefused) {
  transport_->answers = {{200, R"({"Version":"18.06.2","ApiVersion":"1.38"})", {}}};
  auto error = loop_.error_of_running(engine_->info());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unsupported);
  EXPECT_THAT(error->message(), HasSubstr("1.38"));
}

TEST_F(DockerEngineTest, AnEngineThatIsAwaySaysWhichAndWhatToDo) {
  transport_->answers.clear();
  fail(ErrorCode::unavailable);
  auto error = loop_.error_of_running(engine_->info());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_EQ(error->message(), "docker: ask for the version: the socket says no");
  EXPECT_THAT(error->hint(), HasSubstr("docker info"));
}

TEST_F(DockerEngineTest, AWaitIsAskedAgainWhenItsRoundIsOver) {
  fail(ErrorCode::deadline_exceeded);
  fail(ErrorCode::deadline_exceeded);
  answer(200, R"({"Error":null,"StatusCode":3})");
  EXPECT_EQ(loop_.run(engine_->wait_container("a")), 3);
  std::string wait = "POST /v1.41/containers/a/wait?condition=not-running";
  EXPECT_THAT(requests(), ElementsAre(wait, wait, wait));
}

TEST_F(DockerEngineTest, AWaitThatTheEngineGaveUpIsAnError) {
  answer(200, R"({"Error":{"Message":"lost it"},"StatusCode":-1})");
  auto error = loop_.error_of_running(engine_->wait_container("a"));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_THAT(error->message(), HasSubstr("lost it"));
}

TEST_F(DockerEngineTest, ARemovalUnderWayIsWaitedFor) {
  answer(409, R"({"message":"removal of container a is already in progress"})");
  answer(409, R"({"message":"removal of container a is already in progress"})");
  answer(404, R"({"message":"No such container: a"})");
  loop_.run(engine_->remove_container("a"));
  EXPECT_EQ(requests().size(), 3u);
  EXPECT_EQ(requests()[0], "DELETE /v1.41/containers/a?force=1&v=1");
}

TEST_F(DockerEngineTest, KillingWhatIsGoneOrHasEndedIsFine) {
  answer(404, R"({"message":"No such container: a"})");
  answer(409, R"({"message":"Container a is not running"})");
  answer(500, R"({"message":"boom"})");
  loop_.run(engine_->kill_container("a", "SIGTERM"));
  loop_.run(engine_->kill_container("a", "SIGTERM"));
  EXPECT_EQ(loop_.error_of_running(engine_->kill_container("a", "SIGTERM"))->code(), ErrorCode::unavailable);
  EXPECT_EQ(requests()[0], "POST /v1.41/containers/a/kill?signal=SIGTERM");
}

TEST_F(DockerEngineTest, APullAsksForOneTagAndBelievesTheStreamNotTheStatus) {
  answer(200, "{\"status\":\"Pulling from a/b\",\"id\":\"latest\"}\n{\"error\":\"manifest unknown\"}\n");
  std::vector<std::string> lines;
  auto error = loop_.error_of_running(engine_->pull_image("r.example:5000/a/b", std::nullopt,
                                                          [&](std::string line) { lines.push_back(std::move(line)); }));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::not_found);
  EXPECT_THAT(lines, ElementsAre("Pulling from a/b"));
  EXPECT_THAT(requests(), ElementsAre("POST /v1.41/images/create?fromImage=r.example%3A5000%2Fa%2Fb&tag=latest"));
}

TEST_F(DockerEngineTest, IdsNeverLeadElsewhere) {
  for (std::string id : {"", ".", "..", "../images", "a/b", "a?b", "a b", "a%2e"}) {
    auto error = loop_.error_of_running(engine_->remove_container(id));
    ASSERT_TRUE(error) << id;
    EXPECT_EQ(error->code(), ErrorCode::invalid_input) << id;
  }
  EXPECT_THAT(transport_->requests, IsEmpty());
}

TEST_F(DockerEngineTest, ANetworkThatIsThereIsTaken) {
  answer(200, R"([{"Id":"1","Name":"gantry-old","Driver":"bridge","Options":{}},
                  {"Id":"2","Name":"gantry","Driver":"bridge",
                   "Options":{"com.docker.network.bridge.enable_icc":"false"}}])");
  loop_.run(engine_->ensure_network("gantry"));
  EXPECT_EQ(requests().size(), 1u);
}

TEST_F(DockerEngineTest, WhoMadeASecondNetworkOfOneNameTakesItAway) {
  std::string isolated = R"("Driver":"bridge","Options":{"com.docker.network.bridge.enable_icc":"false"}})";
  std::string ours = R"({"Id":"22","Name":"gantry",)" + isolated;
  std::string theirs = R"({"Id":"11","Name":"gantry",)" + isolated;
  answer(200, "[]");
  answer(201, R"({"Id":"22"})");
  answer(200, "[" + ours + "," + theirs + "]");
  answer(204);
  answer(200, "[" + theirs + "]");
  loop_.run(engine_->ensure_network("gantry"));
  EXPECT_THAT(requests(), testing::Contains("DELETE /v1.41/networks/22"));
}

TEST_F(DockerEngineTest, ASecondNetworkThatStaysIsAConflict) {
  std::string two = R"([{"Id":"1","Name":"gantry","Driver":"bridge"},{"Id":"2","Name":"gantry","Driver":"bridge"}])";
  for (int i = 0; i < docker::network_attempts_max; ++i) answer(200, two);
  auto error = loop_.error_of_running(engine_->ensure_network("gantry"));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::conflict);
}

TEST_F(DockerEngineTest, ANetworkWithTrafficBetweenContainersIsAConflict) {
  answer(200, R"([{"Id":"1","Name":"gantry","Driver":"bridge","Options":{}}])");
  auto error = loop_.error_of_running(engine_->ensure_network("gantry"));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::conflict);
  EXPECT_THAT(error->hint(), HasSubstr("docker network rm gantry"));
}

TEST_F(DockerEngineTest, ARefusedAttachSaysWhy) {
  answer(200, std::string(plain));
  fail(ErrorCode::unavailable);
  answer(404, R"({"message":"No such container: a"})");
  auto error = loop_.error_of_running(engine_->attach("a"));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::not_found);
}

Async<std::string> read_output(std::shared_ptr<OutputStream> stream) {
  std::string all;
  for (;;) {
    Output piece = co_await stream->read();
    if (piece.bytes.empty()) co_return all;
    all += fmt::format("{}:{};", piece.stream, piece.bytes);
  }
}

TEST_F(DockerEngineTest, TheOutputOfATerminalIsTakenAsItIs) {
  answer(200, std::string(terminal));
  answer(200, "not framed");
  EXPECT_EQ(loop_.run(read_output(loop_.run(engine_->logs("a", false)))), "1:not framed;");
  answer(201, R"({"Id":"b"})");
  answer(200, "nor this");
  ContainerSpec spec;
  spec.name = "b";
  spec.image = "busybox";
  spec.tty = true;
  loop_.run(engine_->create_container(spec));
  EXPECT_EQ(loop_.run(read_output(loop_.run(engine_->logs("b", false)))), "1:nor this;");
  EXPECT_THAT(transport_->answers, IsEmpty()) << "an engine need not be asked for what was made here";
}

TEST_F(DockerEngineTest, ALoginGoesOnlyIntoItsHeader) {
  answer(500, R"({"message":"Get \"https://r.example/v2/\": unauthorized: incorrect username or password"})");
  auto error = loop_.error_of_running(
      engine_->pull_image("r.example/a", RegistryLogin{"me", "a-secret-word", "r.example"}, nullptr));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::not_authorized);
  EXPECT_TRUE(transport_->headers.has("X-Registry-Auth"));
  std::string all = error->message() + error->hint() + requests()[0];
  EXPECT_THAT(all, testing::Not(HasSubstr("a-secret-word")));
  EXPECT_THAT(all, testing::Not(HasSubstr(std::string(transport_->headers.get("X-Registry-Auth")))));
}

TEST_F(DockerEngineTest, AQuotaThatTheStorageDriverCannotKeepIsSaidSo) {
  answer(500, R"({"message":"--storage-opt is supported only for overlay over xfs with 'pquota' mount option"})");
  ContainerSpec spec;
  spec.name = "a";
  spec.image = "busybox";
  spec.disk_bytes = 1 << 30;
  auto error = loop_.error_of_running(engine_->create_container(spec));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unsupported);
  EXPECT_THAT(error->message(), HasSubstr("pquota"));
  EXPECT_THAT(error->hint(), HasSubstr("leave the limit out"));
}

TEST_F(DockerEngineTest, ABadArchiveIsTheCallersFaultAndAFullDiskTheEngines) {
  auto load = [&](std::string answered, int status) {
    answer(status, std::move(answered));
    auto error = loop_.error_of_running(engine_->load_image(std::make_shared<net::StringBody>("x"), 1));
    return error ? error->code() : ErrorCode::internal;
  };
  EXPECT_EQ(load(R"({"error":"archive/tar: invalid tar header"})", 200), ErrorCode::invalid_input);
  EXPECT_EQ(load(R"({"message":"unexpected EOF"})", 500), ErrorCode::invalid_input);
  EXPECT_EQ(load(R"({"error":"write /x: no space left on device"})", 200), ErrorCode::unavailable);
  EXPECT_EQ(load("", 200), ErrorCode::invalid_input) << "an archive without an image";
}

TEST_F(DockerEngineTest, RemovingAVolumeOrAnImageThatIsGoneIsFine) {
  answer(404, R"({"message":"no such volume"})");
  answer(404, R"({"message":"No such image"})");
  loop_.run(engine_->remove_volume("v"));
  loop_.run(engine_->remove_image("team/app:1"));
  answer(409, R"({"message":"volume is in use - [0123]"})");
  EXPECT_EQ(loop_.error_of_running(engine_->remove_volume("v"))->code(), ErrorCode::conflict);
  answer(409, R"({"message":"conflict: unable to remove"})");
  EXPECT_EQ(loop_.error_of_running(engine_->remove_image("app"))->code(), ErrorCode::conflict);
  EXPECT_THAT(requests(), ElementsAre("DELETE /v1.41/volumes/v", "DELETE /v1.41/images/team%2Fapp%3A1",
                                      "DELETE /v1.41/volumes/v", "DELETE /v1.41/images/app"));
  EXPECT_EQ(loop_.error_of_running(engine_->remove_volume("../x"))->code(), ErrorCode::invalid_input);
  EXPECT_EQ(loop_.error_of_running(engine_->tag_image("a", "b@sha256:0123"))->code(), ErrorCode::invalid_input);
}

TEST_F(DockerEngineTest, CertificatesThatAreNotThereAreNamed) {
  try {
    make_docker_engine(loop_.env(), "tcp://127.0.0.1:2376", "/no/such/directory");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_THAT(error.message(), HasSubstr("/no/such/directory/ca.pem"));
  }
  EXPECT_THROW(make_docker_engine(loop_.env(), "unix:///var/run/docker.sock", "/no/such/directory"), Error);
}

TEST_F(DockerEngineTest, LogsAreUnframed) {
  answer(200, std::string(plain));
  answer(200, std::string("\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03"
                          "err",
                          22));
  auto stream = loop_.run(engine_->logs("a", false));
  EXPECT_EQ(loop_.run(read_output(stream)), "1:out;2:err;");
  answer(200, std::string(plain));
  answer(200, "not framed");
  stream = loop_.run(engine_->logs("a", true));
  auto error = loop_.error_of_running(read_output(stream));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::corrupt);
}

TEST_F(DockerEngineTest, AProbeAsksWhetherTheEngineAnswers) {
  transport_->answers.clear();  // it needs no version
  answer(200, "OK");
  loop_.run(engine_->probe());
  answer(500, "{\"message\":\"no\"}");
  auto error = loop_.error_of_running(engine_->probe());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
}

}  // namespace
}  // namespace gantry::engine
