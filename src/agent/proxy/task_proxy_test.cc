// Who is let in, and with which rights; real sockets are the integration test's.
#include "agent/proxy/task_proxy.h"

#include <gtest/gtest.h>

#include "agent/testing/agent_world.h"
#include "base/base64.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

/// Containers by their ids, each with an address while it runs.
class AddressedEngine : public FakeEngine {
 public:
  std::map<std::string, std::string> addresses;
  Async<engine::ContainerState> inspect_container(std::string id) override {
    auto found = addresses.find(id);
    if (found == addresses.end()) throw Error(ErrorCode::not_found, "no such container");
    engine::ContainerState state;
    state.running = !found->second.empty();
    state.address = found->second;
    co_return state;
  }
};

/// Remembers what it was sent, and answers it so.
class Recorder : public net::Transport {
 public:
  std::vector<net::OutgoingRequest> requests;
  std::vector<int> statuses;  // of the next answers; then 200
  Async<net::IncomingResponse> exchange(net::OutgoingRequest, std::size_t) override {
    throw Error(ErrorCode::unsupported, "exchange");
  }
  Async<net::OpenResponse> open(net::OutgoingRequest request) override {
    net::OpenResponse response;
    response.head.status = requests.size() < statuses.size() ? statuses[requests.size()] : 200;
    response.head.headers.add("Location", "http://elsewhere/");
    response.body = std::make_shared<net::StringBody>("answer");
    requests.push_back(std::move(request));
    co_return response;
  }
  Async<std::shared_ptr<net::RawStream>> upgrade(net::OutgoingRequest, std::string) override {
    throw Error(ErrorCode::unsupported, "upgrade");
  }
};

struct TaskProxyTest : testing::Test {
  TaskProxyTest() {
    set_log_sink([](LogLevel, std::string_view) {});
    first.container = "one";
    first.task = std::make_shared<const json::value>(json::object{{"scopes", {"secrets:get:x"}}});
    second.container = "two";
    engine.addresses = {{"one", "10.0.0.2"}, {"two", "10.0.0.3"}};
  }
  ~TaskProxyTest() override { set_log_sink({}); }

  RunContext context() {
    return RunContext{env, engine,          api,      world.scope, settings, {TaskId::random(env), 0}, {},
                      {},  signer("first"), world.log};
  }
  static Signer signer(const std::string& client) {
    return std::make_shared<const wire::HawkSigner>(wire::HawkCredentials{client, "secret", R"({"version":1})"});
  }

  net::Response ask(const std::string& address, net::Method method, std::string target, std::string body = {}) {
    net::Request request;
    request.method = method;
    request.target = std::move(target);
    request.peer = address + ":40000";
    request.content_length = static_cast<std::int64_t>(body.size());
    request.body = std::make_shared<net::StringBody>(std::move(body));
    return env.finish(env.start(proxy.handle(std::move(request))));
  }

  LogWorld world;
  FakeEnv& env = world.env;
  AddressedEngine engine;
  std::shared_ptr<Recorder> server = std::make_shared<Recorder>();
  ServerApi api{env, server, "tc.example", 7070};
  RunSettings settings;
  RunContext first = context();
  RunContext second = context();
  TaskProxy proxy{env, engine, api, "net", world.directory.file("port")};
};

std::string ext_of(const net::OutgoingRequest& request) {
  std::string header(request.headers.get("authorization"));
  return std::string(value_or_throw(wire::parse_hawk_header(header)).ext);
}

TEST_F(TaskProxyTest, a_tasks_request_goes_on_with_its_scopes_only) {
  auto admission = proxy.admit(first);
  net::Response response = ask("10.0.0.2", net::Method::get, "/queue/v1/task/x?a=b");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.get("Location"), "http://elsewhere/");
  EXPECT_EQ(response.headers.get("X-Taskcluster-Endpoint"), "http://tc.example:7070/api/queue/v1/task/x?a=b");
  EXPECT_EQ(response.headers.get("X-Taskcluster-Proxy-Temp-ClientId"), "first");
  ASSERT_EQ(server->requests.size(), 1u);
  EXPECT_EQ(server->requests[0].target, "/api/queue/v1/task/x?a=b");
  EXPECT_EQ(server->requests[0].headers.get("host"), "tc.example:7070");
  std::string own = fmt::format("queue:create-artifact:{}/0", first.run.task.to_string());
  EXPECT_EQ(base64_decode(ext_of(server->requests[0])),
            R"({"certificate":{"version":1},"authorizedScopes":["secrets:get:x",")" + own + "\"]}");
}

TEST_F(TaskProxyTest, nobody_else_gets_anything) {
  EXPECT_EQ(ask("10.0.0.2", net::Method::get, "/api/queue/v1/ping").status, 403) << "nobody is admitted";
  auto admission = proxy.admit(first);
  net::Response refused = ask("10.0.0.3", net::Method::get, "/api/queue/v1/ping");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.headers.get("Connection"), "close");
  EXPECT_EQ(ask("127.0.0.1", net::Method::post, "/bewit", "http://tc.example:7070/api/queue/v1/ping").status, 403);
  EXPECT_TRUE(server->requests.empty());
}

TEST_F(TaskProxyTest, an_address_that_has_gone_over_to_another_container_is_the_others) {
  auto one = proxy.admit(first);
  EXPECT_EQ(ask("10.0.0.2", net::Method::get, "/api/queue/v1/ping").status, 200);
  // The first container has ended, and nobody has noticed yet.
  engine.addresses = {{"one", ""}, {"two", "10.0.0.2"}};
  EXPECT_EQ(ask("10.0.0.2", net::Method::get, "/api/queue/v1/ping").status, 403);
  second.signer = signer("second");
  auto two = proxy.admit(second);
  net::Response response = ask("10.0.0.2", net::Method::get, "/api/queue/v1/ping");
  EXPECT_EQ(response.headers.get("X-Taskcluster-Proxy-Temp-ClientId"), "second");
  engine.addresses.erase("one");
  two.reset();
  EXPECT_EQ(ask("10.0.0.2", net::Method::get, "/api/queue/v1/ping").status, 403);
}

TEST_F(TaskProxyTest, the_credentials_are_those_of_the_last_reclaim) {
  auto admission = proxy.admit(first);
  ask("10.0.0.2", net::Method::get, "/api/queue/v1/ping");
  first.signer = signer("reclaimed");
  net::Response response = ask("10.0.0.2", net::Method::get, "/api/queue/v1/ping");
  EXPECT_EQ(response.headers.get("X-Taskcluster-Proxy-Temp-ClientId"), "reclaimed");
}

TEST_F(TaskProxyTest, only_what_may_be_done_twice_is_tried_again) {
  auto admission = proxy.admit(first);
  server->statuses = {503, 500, 200, 503};
  EXPECT_EQ(ask("10.0.0.2", net::Method::put, "/api/queue/v1/task/x", "{}").status, 200);
  ASSERT_EQ(server->requests.size(), 3u);
  EXPECT_EQ(server->requests[2].body, "{}");
  EXPECT_EQ(ask("10.0.0.2", net::Method::post, "/api/queue/v1/task/x", "{}").status, 503);
  EXPECT_EQ(server->requests.size(), 4u);
}

TEST_F(TaskProxyTest, a_bewit_is_for_the_servers_own_urls) {
  auto admission = proxy.admit(first);
  net::Response signed_one =
      ask("10.0.0.2", net::Method::post, "/bewit", "http://tc.example:7070/api/queue/v1/task/x\n");
  EXPECT_EQ(signed_one.status, 303);
  std::string url(signed_one.headers.get("Location"));
  ASSERT_TRUE(url.starts_with("http://tc.example:7070/api/queue/v1/task/x?bewit=")) << url;
  auto bewit = wire::parse_bewit(url.substr(url.find("bewit=") + 6));
  ASSERT_TRUE(bewit);
  EXPECT_EQ(bewit.value().expires_seconds, (env.now() + hours(1)).time_since_epoch() / seconds(1));
  EXPECT_NE(base64_decode(bewit.value().ext)->find("secrets:get:x"), std::string::npos);
  EXPECT_EQ(ask("10.0.0.2", net::Method::post, "/bewit", "http://elsewhere/api/queue/v1/task/x").status, 400);
}

TEST_F(TaskProxyTest, more_scopes_than_a_request_carries_are_refused_at_once) {
  json::array many;
  for (int i = 0; i < 1000; ++i) many.emplace_back(fmt::format("some:scope:{}", i));
  first.task = std::make_shared<const json::value>(json::object{{"scopes", many}});
  EXPECT_THROW(proxy.admit(first), Error);
}

}  // namespace
}  // namespace gantry::agent
