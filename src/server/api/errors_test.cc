// Who may do what, and how every refusal looks (taskcluster.md 2.7, 2.9).
#include <gtest/gtest.h>

#include "base/log.h"
#include "server/api/answers.h"
#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct ErrorsTest : testing::Test, ServerWorld {
  /// That the answer is Taskcluster's error of this code.
  static void expect_error(const Answer& answer, int status, std::string_view code, std::string_view method) {
    EXPECT_EQ(answer.status, status) << answer.text;
    EXPECT_EQ(answer.at("/code"), code);
    EXPECT_EQ(answer.at("/requestInfo/method"), method);
    EXPECT_NE(answer.at("/message").find("\n\n---\n\n* method:     " + std::string(method)), std::string::npos);
    EXPECT_NE(answer.at("/message").find("* errorCode:  " + std::string(code)), std::string::npos);
    EXPECT_TRUE(parse_time(answer.at("/requestInfo/time")));
  }
};

TEST_F(ErrorsTest, WithoutCredentialsOneIsAnonymousAndLacksScopes) {
  TaskId id = create();
  Answer answer = send({.target = task_path(id) + "/status", .as = nullptr});
  expect_error(answer, 403, "InsufficientScopes", "status");
  EXPECT_NE(answer.at("/message").find("queue:status:" + id.to_string()), std::string::npos) << "names what is missing";
}

TEST_F(ErrorsTest, WrongCredentialsAreRefusedWithAChallenge) {
  wire::HawkCredentials wrong = root_credentials;
  wrong.access_token = "guess";
  Answer answer = send({.target = task_path(TaskId::random(env)), .as = &wrong});
  expect_error(answer, 401, "AuthenticationFailed", "task");
  EXPECT_EQ(answer.headers.get("www-authenticate"), "hawk");
  wire::HawkCredentials unknown{"nobody", "x", ""};
  EXPECT_EQ(send({.target = task_path(TaskId::random(env)), .as = &unknown}).status, 401);
  EXPECT_EQ(send({.target = "/v1/tasks", .headers = {{"authorization", "Hawk nonsense"}}}).status, 401);
  EXPECT_EQ(send({.target = "/v1/tasks", .headers = {{"authorization", "Bearer x"}}}).status, 401);
}

TEST_F(ErrorsTest, ASignatureIsForItsTimeOnly) {
  Answer answer;
  {
    auto stale = begin({.target = "/v1/tasks"});
    EXPECT_EQ(env.finish(stale).status, 200);
  }
  env.skew = minutes(-20);
  wire::HawkSigner signer(root_credentials);
  std::string old = signer.header({"GET", "/v1/tasks", "gantry.test", 80}, env.now(), "n");
  env.skew = {};
  EXPECT_EQ(send({.target = "/v1/tasks", .headers = {{"authorization", old}}}).status, 401);
}

TEST_F(ErrorsTest, ARunsCredentialsAreForThatRunAlone) {
  auto [id, run] = running();
  TaskId other = create();
  claim(other);
  Answer answer = post(run_path(other) + "/completed", "{}", &run);
  expect_error(answer, 403, "InsufficientScopes", "reportCompleted");
  EXPECT_EQ(runs(other), "running");
  EXPECT_EQ(post(task_path(id) + "/cancel", "{}", &run).status, 403);
  EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 200);
}

TEST_F(ErrorsTest, ARunsCredentialsEndWithItsClaim) {
  auto [id, run] = running();
  env.advance(minutes(31));  // 20, and 5 twice for clocks that differ
  EXPECT_EQ(post(run_path(id) + "/completed", "{}", &run).status, 401);
}

TEST_F(ErrorsTest, AuthorizedScopesNarrow) {
  TaskId id = create();
  Ask ask{.target = task_path(id) + "/status"};
  ask.authorized_scopes = {"queue:status:*"};
  EXPECT_EQ(send(ask).status, 200);
  ask.authorized_scopes = {"queue:get-task:*"};
  EXPECT_EQ(send(ask).status, 403);
}

TEST_F(ErrorsTest, ATaskMayOnlyGetScopesThatItsCreatorHas) {
  json::object definition = wire::task_json(env.now());
  definition["scopes"] = json::array{"secret:x"};
  Ask ask{.method = Method::put, .target = task_path(TaskId::random(env)), .body = wire::text_of(definition)};
  ask.authorized_scopes = {"queue:create-task:*", "queue:scheduler-id:*"};
  Answer answer = send(ask);
  EXPECT_EQ(answer.status, 403);
  EXPECT_NE(answer.at("/message").find("secret:x"), std::string::npos);
  ask.authorized_scopes.push_back("secret:*");
  EXPECT_EQ(send(ask).status, 200);
}

TEST_F(ErrorsTest, EachCodeHasItsShape) {
  TaskId id = create();
  TaskId unknown = TaskId::random(env);
  expect_error(get(task_path(unknown)), 404, "ResourceNotFound", "task");
  expect_error(get("/api/queue/v1/task/nonsense"), 400, "InvalidRequestArguments", "task");
  expect_error(get(run_path(id) + "x/artifacts"), 400, "InvalidRequestArguments", "listArtifacts");
  expect_error(post(run_path(id) + "/completed"), 409, "RequestConflict", "reportCompleted");
  expect_error(post(run_path(id) + "/exception", R"({"reason":"completed"})"), 400, "InputValidationError",
               "reportException");
  expect_error(post(run_path(id) + "/exception", R"({"reason":)"), 400, "MalformedPayload", "reportException");
  json::object late = wire::task_json(env.now() - hours(1));
  expect_error(put_task(unknown, late), 400, "InputError", "createTask");
  json::object large = wire::task_json(env.now());
  large["extra"] = json::object{{"x", std::string(300'000, 'x')}};
  expect_error(put_task(unknown, large), 413, "InputTooLarge", "createTask");
  store.lock()->fail_next(store::Outcome::failed);
  expect_error(post(task_path(id) + "/cancel"), 503, "ServiceUnavailable", "cancelTask");
}

TEST_F(ErrorsTest, RequestInfoTellsWhatWasAsked) {
  TaskId id = create();
  Answer answer = post(run_path(id) + "/exception", R"({"reason":"gone","b":[1]})");
  expect_error(answer, 400, "InputValidationError", "reportException");
  EXPECT_EQ(answer.at("/requestInfo/params/taskId"), id.to_string());
  EXPECT_EQ(answer.at("/requestInfo/params/runId"), "0");
  EXPECT_EQ(answer.at("/requestInfo/payload/reason"), "gone");
  EXPECT_EQ(answer.at("/requestInfo/payload/b/0"), "1");
  Answer read = get(task_path(TaskId::random(env)));
  EXPECT_EQ(read.at("/requestInfo/payload"), "{}");
  EXPECT_TRUE(parse_json(get("/api/queue/v1/task/%FF%01").text)) << "the answer is JSON whatever was asked";
}

TEST_F(ErrorsTest, RequestInfoHidesSecrets) {
  json::object definition = wire::task_json(env.now());
  definition["provisionerId"] = "no / such";
  definition["extra"] = value_or_throw(parse_json(
      R"({"list":[{"accessToken":"hush"}],"credentials":{"clientId":"hush"},"MY_SECRET":"hush","certificate":7})"));
  Answer answer = put_task(TaskId::random(env), definition);
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.text.find("hush"), std::string::npos) << answer.text;
  EXPECT_EQ(answer.at("/requestInfo/payload/extra/list/0/accessToken"), "(not shown)");
  EXPECT_EQ(answer.at("/requestInfo/payload/extra/credentials"), "(not shown)");
  EXPECT_EQ(answer.at("/requestInfo/payload/extra/certificate"), "(not shown)");
}

TEST_F(ErrorsTest, RequestInfoLeavesOutWhatIsLargeOrNotJson) {
  TaskId id = create();
  std::string large = R"({"reason":")" + std::string(11'000, 'x') + "\"}";
  EXPECT_EQ(post(run_path(id) + "/exception", large).at("/requestInfo/payload"), "{}");
  EXPECT_EQ(post(run_path(id) + "/exception", "{\"reason\"").at("/requestInfo/payload"), "{}");
}

TEST_F(ErrorsTest, TheNativeDialectHasAPlainShape) {
  Answer answer = get("/v1/tasks/" + TaskId::random(env).to_string());
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.at("/code"), "not-found");
  EXPECT_EQ(answer.at("/requestId"), answer.headers.get("x-for-request-id"));
  EXPECT_FALSE(answer.at("/hint").empty());
}

TEST_F(ErrorsTest, OurOwnDefectsAre500) {
  Route route{Method::get, "/x", "task", Dialect::taskcluster, {}, true, {}};
  Call call;
  call.route = &route;
  auto response = error_response(Error(ErrorCode::internal, "x"), call, env.now());
  EXPECT_EQ(response.status, 500);
  EXPECT_NE(response.body.find("\"code\":\"InternalServerError\""), std::string::npos);
}

TEST_F(ErrorsTest, UnknownRoutesAre404) {
  for (const char* target : {"/", "/nope", "/api/queue/v1/task", "/api/queue/v1/task//status", "/api/queue/v2/ping"}) {
    Answer answer = get(target);
    EXPECT_EQ(answer.status, 404) << target;
    EXPECT_EQ(answer.text, "{\"error\":\"Not found\"}");
  }
}

TEST_F(ErrorsTest, AWrongMethodIs404InTaskclustersApiAnd405InOurs) {
  TaskId id = create();
  Answer answer = send({.method = Method::delete_, .target = task_path(id)});
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.text, "{\"error\":\"Not found\"}");
  EXPECT_EQ(send({.method = Method::delete_, .target = "/v1/tasks/" + id.to_string()}).status, 405);
}

TEST_F(ErrorsTest, UnknownQueryKeysAre400) {
  TaskId id = create();
  Answer answer = get(task_path(id) + "/status?limit=%FF&x=1");
  expect_error(answer, 400, "InvalidRequestArguments", "status");
  EXPECT_NE(answer.at("/message").find("unknown query parameter \"limit\""), std::string::npos);
  EXPECT_TRUE(parse_json(get(task_path(id) + "/status?%FF=1").text)) << "the answer is JSON whatever was asked";
  EXPECT_EQ(get(task_path(id) + "/status?x=%zz").status, 400);
}

TEST_F(ErrorsTest, BodiesAreJsonAndSaySo) {
  TaskId id = TaskId::random(env);
  Ask ask{.method = Method::put, .target = task_path(id), .body = wire::text_of(wire::task_json(env.now()))};
  ask.headers = {{"content-type", "text/plain"}};
  EXPECT_EQ(send(ask).status, 400);
  ask.headers.clear();
  ask.body = "{\"created\":";
  Answer answer = send(ask);
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.at("/message").find("not valid JSON at byte"), std::string::npos);
}

TEST_F(ErrorsTest, HealthNeedsNoCredentialsAndMetricsNeedLoopback) {
  EXPECT_EQ(send({.target = "/v1/ping", .as = nullptr}).at("/alive"), "true");
  EXPECT_EQ(send({.target = "/api/queue/v1/ping", .as = nullptr}).status, 200);
  EXPECT_EQ(send({.target = "/v1/ready", .as = nullptr}).at("/ready"), "true");
  EXPECT_EQ(send({.target = "/metrics", .as = nullptr}).status, 403);
  Answer metrics = send({.target = "/metrics", .as = nullptr, .loopback = true});
  EXPECT_EQ(metrics.status, 200);
  EXPECT_NE(metrics.text.find("gantry_"), std::string::npos);
}

TEST_F(ErrorsTest, BrowsersMayAskFromElsewhere) {
  Answer preflight = send({.method = Method::options, .target = "/api/queue/v1/task/x", .as = nullptr});
  EXPECT_EQ(preflight.status, 204);
  EXPECT_NE(preflight.headers.get("access-control-allow-headers").find("Authorization"), std::string_view::npos);
  EXPECT_EQ(get("/v1/ping").headers.get("access-control-allow-origin"), "*");
  // Errors too, or a browser hides what they say.
  for (const char* target : {"/api/queue/v1/task/nonsense", "/nowhere", "/v1/nodes", "/v1/ping?unknown=1"}) {
    Answer refused = send({.target = target, .as = nullptr, .headers = {{"origin", "https://elsewhere.example"}}});
    EXPECT_GE(refused.status, 400) << target;
    EXPECT_EQ(refused.headers.get("access-control-allow-origin"), "*") << target;
    EXPECT_NE(refused.headers.get("access-control-expose-headers").find("x-for-request-id"), std::string_view::npos);
  }
}

}  // namespace
}  // namespace gantry::server
