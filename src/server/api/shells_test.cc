// Who gets a shell, by which address, and how the agent hears of it.
#include "server/shells.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

constexpr const char* node_path = "/v1/nodes/fN1SbArXTPSVFNUvaOlinQ";
const std::vector<std::pair<std::string, std::string>> websocket_headers = {
    {"upgrade", "websocket"},
    {"connection", "Upgrade"},
    {"sec-websocket-version", "13"},
    {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}};

struct ShellApiTest : testing::Test, ServerWorld {
  ShellApiTest() {
    set_log_sink([](LogLevel, std::string_view) {});
  }
  ~ShellApiTest() override {
    stop();
    set_log_sink(nullptr);
  }

  Ask poll(std::optional<TaskId> held, bool restarted = false) {
    std::string holds = held ? R"({"taskId":")" + held->to_string() + R"(","runId":0})" : std::string();
    return {.method = Method::post,
            .target = std::string(node_path) + "/poll",
            .body = R"({"name":"n","taskQueueId":"prov/queue","workerGroup":"group","workerId":"worker","slots":4,)"
                    R"("memoryBytes":34359738368,"holds":[)" +
                    holds + R"(],"restarted":)" + (restarted ? "true}" : "false}")};
  }
  void register_node() {
    Answer polled = send(poll(std::nullopt, true));
    EXPECT_EQ(polled.status, 200) << polled.text;
  }
  /// A task that runs on the node.
  TaskId interactive(bool asked = true) {
    json::object definition = wire::task_json(env.now());
    if (asked) definition["payload"].as_object()["features"] = {{"interactive", true}};
    if (!std::exchange(registered_, true)) register_node();
    TaskId id = create(definition);
    claim(id);
    return id;
  }
  Ask socket(std::string target, const wire::HawkCredentials* as = &root_credentials) {
    return {.target = std::move(target), .as = as, .headers = websocket_headers};
  }
  std::string shell_path(TaskId id) { return native_path(id) + "/shell"; }
  /// The path of the URL that needs no credentials.
  std::string url_path(TaskId id) {
    Answer page = get(native_path(id) + "/shell-page");
    EXPECT_EQ(page.status, 200) << page.text;
    std::string url = page.at("/socketUrl");
    EXPECT_TRUE(url.starts_with("ws://gantry.test/")) << url;
    return url.substr(std::string("ws://gantry.test").size());
  }

  bool registered_ = false;
};

TEST_F(ShellApiTest, TheNodesPollIsAnsweredAtOnceAndItsConnectionIsTakenOnce) {
  TaskId id = interactive();
  auto polling = begin(poll(id));
  env.advance(seconds(1));
  ASSERT_FALSE(polling->done);
  Answer client = send(socket(shell_path(id) + "?tty=true&command=ls&command=-l"));
  ASSERT_EQ(client.status, 101) << client.text;
  EXPECT_EQ(client.headers.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  Answer news = env.finish(polling);
  EXPECT_EQ(news.at("/shells/0/taskId"), id.to_string());
  EXPECT_EQ(news.at("/shells/0/command"), R"(["ls","-l"])");
  EXPECT_EQ(news.at("/shells/0/tty"), "true");
  std::string session = std::string(node_path) + "/shells/" + news.at("/shells/0/session");
  EXPECT_EQ(send(socket(session, nullptr)).status, 403);
  EXPECT_EQ(send(socket(session)).status, 101);
  EXPECT_EQ(send(socket(session)).status, 404) << "once";
}

TEST_F(ShellApiTest, WhoMayNotReadTheArtifactGetsNoShell) {
  TaskId id = interactive();
  EXPECT_EQ(send(socket(shell_path(id), nullptr)).status, 403);
  Ask narrow = socket(shell_path(id));
  narrow.authorized_scopes = {"queue:get-artifact:public/*"};
  Answer refused = send(narrow);
  EXPECT_EQ(refused.status, 403);
  EXPECT_NE(refused.text.find("queue:get-artifact:private/docker-worker/shell.html"), std::string::npos);
  narrow.authorized_scopes = {"queue:get-artifact:private/docker-worker/shell.html"};
  EXPECT_EQ(send(narrow).status, 101);
  EXPECT_EQ(server->services().shells->size(), 1u);
}

TEST_F(ShellApiTest, ARunThatHasNoShellSaysWhy) {
  TaskId pending = create();
  Answer refused = send(socket(shell_path(pending)));
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.text.find("is not running: it is pending"), std::string::npos) << refused.text;
  EXPECT_EQ(send(socket(native_path(pending, 1) + "/shell")).status, 404);
  EXPECT_EQ(send(socket(shell_path(TaskId::random(env)))).status, 404);
}

TEST_F(ShellApiTest, ATaskThatDidNotAskForOneHasNone) {
  TaskId id = interactive(false);
  Answer refused = send(socket(shell_path(id)));
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.text.find("features.interactive"), std::string::npos) << refused.text;
}

TEST_F(ShellApiTest, ARequestForNoWebSocketMakesNoSession) {
  TaskId id = interactive();
  EXPECT_EQ(get(shell_path(id)).status, 400);
  EXPECT_EQ(send(socket(shell_path(id) + "?tty=maybe")).status, 400);
  EXPECT_EQ(send(socket(shell_path(id) + "?command=" + std::string(9000, 'x'))).status, 400);
  EXPECT_EQ(server->services().shells->size(), 0u);
}

TEST_F(ShellApiTest, ASignedUrlIsForOneRunAnd45Minutes) {
  TaskId id = interactive();
  TaskId other = interactive();
  std::string path = url_path(id);
  EXPECT_EQ(send(socket(path + "?tty=true&command=sh", nullptr)).status, 101);
  std::string of_other = path;
  of_other.replace(of_other.find(id.to_string()), 22, other.to_string());
  EXPECT_EQ(send(socket(of_other, nullptr)).status, 403);
  std::string query = path.substr(path.find(id.to_string()) + 25);
  query = query.substr(0, query.find('/'));
  EXPECT_EQ(send({.target = native_path(id) + "/shell-page?expires=" + query +
                            "&signature=" + path.substr(path.find(query) + query.size() + 1, 43),
                  .as = nullptr})
                .status,
            403)
      << "the socket's signature is not the page's";
  for (int minute = 0; minute < 46; ++minute) {
    begin(poll(id));
    env.advance(minutes(1));
  }
  EXPECT_EQ(send(socket(path, nullptr)).status, 410) << "expired";
}

TEST_F(ShellApiTest, TheArtifactLeadsToAUrlForWhoeverMayReadIt) {
  TaskId id = interactive();
  std::string body = R"({"storageType":"reference","contentType":"application/json","expires":")" +
                     format_time(env.now() + minutes(30)) + R"(","url":"http://10.0.0.1:8080)" + native_path(id) +
                     "/shell-page\"}";
  std::string artifact = run_path(id) + "/artifacts/private%2Fdocker-worker%2Fshell.html";
  ASSERT_EQ(post(artifact, body).status, 200);
  Answer redirected = get(artifact);
  ASSERT_EQ(redirected.status, 303) << redirected.text;
  std::string location(redirected.headers.get("location"));
  ASSERT_TRUE(location.starts_with("http://gantry.test" + native_path(id) + "/shell-page?expires=")) << location;
  Answer page = send({.target = location.substr(std::string("http://gantry.test").size()), .as = nullptr});
  ASSERT_EQ(page.status, 200) << page.text;
  EXPECT_EQ(page.at("/taskId"), id.to_string());
  EXPECT_EQ(send({.target = artifact, .as = nullptr}).status, 403);
}

TEST_F(ShellApiTest, TheEleventhIsToldInTheProtocolOfShells) {
  TaskId id = interactive();
  for (int i = 0; i < wire::shells_per_run_max; ++i) EXPECT_EQ(send(socket(shell_path(id))).status, 101);
  EXPECT_EQ(send(socket(shell_path(id))).status, 101) << "browsers see no other answer";
  EXPECT_EQ(server->services().shells->size(), 10u);
}

}  // namespace
}  // namespace gantry::server
