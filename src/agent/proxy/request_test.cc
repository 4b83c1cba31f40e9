#include "agent/proxy/request.h"

#include <gtest/gtest.h>

namespace gantry::agent {
namespace {

std::string target_of(std::string_view asked) {
  auto target = proxied_target(asked, "tc.example:7070");
  return target ? target.value() : "refused";
}

TEST(ProxyRequest, three_ways_to_name_a_service) {
  EXPECT_EQ(target_of("/api/queue/v1/task/x?limit=2"), "/api/queue/v1/task/x?limit=2");
  EXPECT_EQ(target_of("/queue/v1/task/x%2Fy"), "/api/queue/v1/task/x%2Fy");
  EXPECT_EQ(target_of("/tc.example:7070/api/queue/v1/ping"), "/api/queue/v1/ping");
  EXPECT_EQ(target_of("/TC.example/queue/v1/ping"), "/api/queue/v1/ping");
  EXPECT_EQ(target_of("/api/queue/v1"), "/api/queue/v1");
}

TEST(ProxyRequest, nothing_else_is_signed) {
  for (std::string_view asked : {"/",
                                 "",
                                 "/v1/tasks/x",
                                 "/elsewhere.example/api/queue/v1/ping",
                                 "/tc.example:7071/queue/v1/x",
                                 "/api/queue/v1/../../../v1/nodes",
                                 "/api/queue/v1/..",
                                 "//api/queue/v1/x",
                                 "/api//v1/x",
                                 "/queue/vx/y",
                                 "/tc.example:7070/v1/tasks",
                                 "/tc.example:7070/tc.example:7070/api/queue/v1/x",
                                 "/api/queue/v1/\\..\\x",
                                 "/api/queue?/v1/x",
                                 "/tc.example:7070",
                                 "http://tc.example:7070/api/queue/v1/x",
                                 "/api/api/v1/x",
                                 "tc.example",
                                 "tc.example:7070",
                                 "*"}) {
    EXPECT_EQ(target_of(asked), "refused") << asked;
  }
}

TEST(ProxyRequest, only_urls_of_the_server_get_a_bewit) {
  auto signs = [](std::string_view url) {
    auto target = signable_target(url, "http://tc.example:7070");
    return target ? target.value() : "refused";
  };
  EXPECT_EQ(signs("http://tc.example:7070/api/queue/v1/task/x?a=b"), "/api/queue/v1/task/x?a=b");
  EXPECT_EQ(signs("https://tc.example:7070/api/queue/v1/task/x"), "refused");
  EXPECT_EQ(signs("http://tc.example:70701/api/queue/v1/task/x"), "refused");
  EXPECT_EQ(signs("http://tc.example:7070/queue/v1/task/x"), "refused");
  EXPECT_EQ(signs("http://tc.example:7070/v1/tasks/x"), "refused");
  EXPECT_EQ(signs("http://tc.example:7070@evil/api/queue/v1/x"), "refused");
  EXPECT_EQ(signs("http://tc.example:7070/api/queue/v1/x#y"), "refused");
}

TEST(ProxyRequest, headers_of_one_connection_stay_there) {
  net::Headers sent;
  sent.add("Host", "taskcluster");
  sent.add("Authorization", "Bearer mine");
  sent.add("Connection", "close, X-Mine");
  sent.add("X-Mine", "1");
  sent.add("Transfer-Encoding", "chunked");
  sent.add("X-Forwarded-Port", "443");
  sent.add("Content-Type", "application/json");
  sent.add("Accept", "*/*");
  net::Headers kept = headers_for_server(sent);
  EXPECT_EQ(kept.entries().size(), 2u);
  EXPECT_EQ(kept.get("content-type"), "application/json");
  EXPECT_EQ(kept.get("accept"), "*/*");

  net::Headers answer;
  answer.add("Location", "http://elsewhere/x");
  answer.add("Keep-Alive", "timeout=5");
  answer.add("Content-Length", "7");
  kept = headers_for_task(answer);
  EXPECT_EQ(kept.entries().size(), 2u);
  EXPECT_EQ(kept.get("Location"), "http://elsewhere/x");
  EXPECT_EQ(kept.get("Content-Length"), "7");
}

}  // namespace
}  // namespace gantry::agent
