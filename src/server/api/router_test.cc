#include "server/api/router.h"

#include <gtest/gtest.h>

namespace gantry::server {
namespace {

using net::Method;

struct RouterTest : testing::Test {
  void add(Method method, std::string pattern, Dialect dialect = Dialect::taskcluster) {
    router.add({method, pattern, pattern, dialect, nullptr, true, {}});
  }
  /// "<pattern> name=value ...", or what else came of it.
  std::string find(Method method, std::string_view path) const {
    Router::Match match = router.match(method, path);
    if (!match.route) return match.other_method ? "other method" : "none";
    std::string text = match.route->pattern;
    for (const auto& [name, value] : match.parameters) text += " " + std::string(name) + "=" + value;
    return text + (match.bad_escape ? " bad" : "");
  }
  std::string get(std::string_view path) const { return find(Method::get, path); }

  Router router;
};

TEST_F(RouterTest, LiteralsGoBeforeNamesAndNamesBeforeRests) {
  for (const char* pattern : {"/a/:x", "/a/b", "/a/*rest", "/a/:x/c", "/a/*rest/end"}) add(Method::get, pattern);
  EXPECT_EQ(get("/a/b"), "/a/b");
  EXPECT_EQ(get("/a/z"), "/a/:x x=z");
  EXPECT_EQ(get("/a/b/c"), "/a/:x/c x=b") << "a literal that leads nowhere is no obstacle";
  EXPECT_EQ(get("/a/b/d"), "/a/*rest rest=b/d");
  EXPECT_EQ(get("/a/b/d/e/end"), "/a/*rest/end rest=b/d/e");
  EXPECT_EQ(get("/a/b/end/f"), "/a/*rest rest=b/end/f");
  EXPECT_EQ(get("/a"), "none");
  EXPECT_EQ(get("/a/"), "none") << "no parameter is empty";
  EXPECT_EQ(get("/a//b"), "none");
  EXPECT_EQ(get(""), "none");
  EXPECT_EQ(get("/"), "none");
}

TEST_F(RouterTest, TaskQueuesComeInBothSpellings) {
  const std::string base = "/api/queue/v1/task-queues";
  for (const char* end : {"", "/*taskQueueId", "/*taskQueueId/counts"}) add(Method::get, base + end);
  EXPECT_EQ(get(base), base);
  for (const char* queue : {"/p/w", "/p%2Fw", "/p%2fw"}) {
    EXPECT_EQ(get(base + queue), base + "/*taskQueueId taskQueueId=p/w") << queue;
    EXPECT_EQ(get(base + queue + "/counts"), base + "/*taskQueueId/counts taskQueueId=p/w") << queue;
  }
}

TEST_F(RouterTest, TheOldBaseIsTheNewOne) {
  add(Method::get, "/api/queue/v1/ping");
  add(Method::get, "/v1/ping", Dialect::native);
  EXPECT_EQ(get("/queue/v1/ping"), "/api/queue/v1/ping");
  EXPECT_EQ(get("/v1/ping"), "/v1/ping") << "the bare base is ours alone";
  EXPECT_EQ(get("/queue"), "none");
  EXPECT_EQ(get("/queue/queue/v1/ping"), "none");
}

TEST_F(RouterTest, MethodsAreToldApart) {
  add(Method::get, "/x/:a");
  add(Method::put, "/x/:b");
  add(Method::get, "/v1/x", Dialect::native);
  EXPECT_EQ(find(Method::put, "/x/1"), "/x/:b b=1");
  EXPECT_EQ(find(Method::head, "/x/1"), "/x/:a a=1") << "HEAD is GET";
  EXPECT_EQ(find(Method::post, "/x/1"), "none");
  EXPECT_EQ(find(Method::post, "/v1/x"), "other method");
}

TEST_F(RouterTest, EscapesAreUndoneOnceAndBrokenOnesTold) {
  add(Method::get, "/n/*name");
  EXPECT_EQ(get("/n/a%2Fb%252F"), "/n/*name name=a/b%2F");
  EXPECT_EQ(get("/n/raw/slash//es"), "/n/*name name=raw/slash//es");
  EXPECT_EQ(get("/n/%G1"), "/n/*name name= bad");
}

TEST_F(RouterTest, LongPathsEndInARest) {
  add(Method::get, "/n/*name");
  add(Method::get, "/m/*name/end");
  std::string many;
  for (int i = 0; i < 500; ++i) many += "/s";
  EXPECT_EQ(get("/n" + many), "/n/*name name=" + many.substr(1));
  EXPECT_EQ(get("/m" + many + "/end"), "none") << "no more than 64 segments are told apart";
  std::string fits;
  for (int i = 0; i < 60; ++i) fits += "/s";
  EXPECT_NE(get("/m" + fits + "/end"), "none");
}

}  // namespace
}  // namespace gantry::server
