// Artifacts, the objects behind them, and live logs, through the API.
#include <gtest/gtest.h>

#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct ArtifactsTest : testing::Test, ServerWorld {
  std::pair<TaskId, wire::HawkCredentials> task_and_run = running();
  TaskId id = task_and_run.first;
  wire::HawkCredentials run = task_and_run.second;

  Answer put(std::string name, json::object request) {
    request["expires"] = format_time(env.now() + minutes(30));
    return post(run_path(id) + "/artifacts/" + net::percent_encode(name), wire::text_of(request), &run);
  }
  Answer put_link(std::string name, std::string to) {
    return put(std::move(name), {{"storageType", "link"}, {"artifact", to}});
  }
  Answer put_reference(std::string name) {
    return put(std::move(name),
               {{"storageType", "reference"}, {"contentType", "text/plain"}, {"url", "https://example.com/x"}});
  }
  /// Anyone's read of an artifact.
  Answer read(std::string name) { return send({.target = run_path(id) + "/artifacts/" + name, .as = nullptr}); }
  /// A URL's path and query.
  static std::string target_of(const std::string& url) {
    EXPECT_TRUE(url.starts_with("http://gantry.test/")) << url;
    return url.substr(std::string_view("http://gantry.test").size());
  }

  std::string log_path(std::string_view more = "") { return native_path(id) + "/log" + std::string(more); }
  Answer append(int offset, std::string bytes) {
    return post(log_path("?offset=" + std::to_string(offset)), std::move(bytes), &run);
  }
  Ask reading_log(int offset = 0) { return {.target = log_path("?offset=" + std::to_string(offset)), .as = nullptr}; }
};

TEST_F(ArtifactsTest, AnUploadIsReadBackThroughARedirect) {
  Answer made = put("public/a.txt", {{"storageType", "s3"}, {"contentType", "text/plain"}, {"contentLength", 5}});
  ASSERT_EQ(made.status, 200) << made.text;
  std::string url = target_of(made.at("/putUrl"));
  EXPECT_EQ(send({.method = Method::put,
                  .target = url,
                  .body = "hello",
                  .as = nullptr,
                  .headers = {{"content-type", "text/plain"}}})
                .status,
            200);
  Answer redirect = read("public/a.txt");
  EXPECT_EQ(redirect.status, 303);
  EXPECT_EQ(redirect.headers.get("x-taskcluster-artifact-storage-type"), "s3");
  EXPECT_EQ(redirect.at("/url"), redirect.headers.get("location"));
  std::string location = target_of(redirect.at("/url"));
  Answer object = send({.target = location, .as = nullptr});
  EXPECT_EQ(object.text, "hello");
  EXPECT_EQ(object.headers.get("content-type"), "text/plain");
  Answer part = send({.target = location, .as = nullptr, .headers = {{"range", "bytes=1-3"}}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.text, "ell");
  EXPECT_EQ(part.headers.get("content-range"), "bytes 1-3/5");
  EXPECT_EQ(send({.target = location, .as = nullptr, .headers = {{"range", "bytes=9-"}}}).status, 416);
}

TEST_F(ArtifactsTest, ASignedUrlIsForOneMethodAndObjectAndTime) {
  Answer made = put("public/a", {{"storageType", "s3"}, {"contentType", "text/plain"}});
  std::string url = target_of(made.at("/putUrl"));
  EXPECT_EQ(send({.target = url, .as = nullptr}).status, 403);
  std::string other = url;
  other.replace(other.find("public"), 6, "publiC");
  EXPECT_EQ(send({.method = Method::put, .target = other, .body = "x", .as = nullptr}).status, 403);
  env.advance(minutes(46));
  EXPECT_EQ(send({.method = Method::put, .target = url, .body = "x", .as = nullptr}).status, 410);
}

TEST_F(ArtifactsTest, OnlyPublicArtifactsAreEverybodys) {
  ASSERT_EQ(put_reference("private/x").status, 200);
  EXPECT_EQ(read("private/x").status, 403);
  EXPECT_EQ(get(run_path(id) + "/artifacts/private/x").status, 303);
  ASSERT_EQ(put_link("public/door", "private/x").status, 200);
  EXPECT_EQ(read("public/door").status, 403) << "a link does not open what it leads to";
}

TEST_F(ArtifactsTest, AReferenceLeadsElsewhere) {
  ASSERT_EQ(put_reference("public/r").status, 200);
  Answer answer = read("public/r");
  EXPECT_EQ(answer.status, 303);
  EXPECT_EQ(answer.headers.get("location"), "https://example.com/x");
  for (const char* url : {"ftp://x", "https://x/\r\nset-cookie: a=b", "https://x y", "javascript:x"}) {
    EXPECT_EQ(put("public/bad", {{"storageType", "reference"}, {"contentType", "text/plain"}, {"url", url}}).status,
              400)
        << url;
  }
}

TEST_F(ArtifactsTest, LinksAreFollowedButNotForEver) {
  ASSERT_EQ(put_reference("public/0").status, 200);
  for (int i = 1; i <= 11; ++i) {
    ASSERT_EQ(put_link("public/" + std::to_string(i), "public/" + std::to_string(i - 1)).status, 200);
  }
  EXPECT_EQ(read("public/10").status, 303);
  EXPECT_EQ(read("public/11").status, 400);
  ASSERT_EQ(put_link("public/a", "public/b").status, 200);
  EXPECT_EQ(read("public/a").status, 404);
  ASSERT_EQ(put_link("public/b", "public/a").status, 200);
  EXPECT_EQ(read("public/a").status, 400) << "a loop";
}

TEST_F(ArtifactsTest, AnErrorArtifactSaysWhy) {
  ASSERT_EQ(
      put("public/e", {{"storageType", "error"}, {"reason", "file-missing-on-worker"}, {"message", "no /x"}}).status,
      200);
  Answer answer = read("public/e");
  EXPECT_EQ(answer.status, 424);
  EXPECT_EQ(answer.text, R"({"reason":"file-missing-on-worker","message":"no /x"})");
  EXPECT_EQ(put("public/f", {{"storageType", "error"}, {"reason", "because"}, {"message", ""}}).status, 400);
}

TEST_F(ArtifactsTest, GoneAndNeverThereAreTwoThings) {
  ASSERT_EQ(put_reference("public/r").status, 200);
  EXPECT_EQ(read("public/none").status, 404);
  env.advance(minutes(31));
  EXPECT_EQ(read("public/r").status, 410);
}

TEST_F(ArtifactsTest, TheLatestRunIsRead) {
  ASSERT_EQ(put_reference("public/r").status, 200);
  EXPECT_EQ(send({.target = task_path(id) + "/artifacts/public/r", .as = nullptr}).status, 303);
  ASSERT_EQ(post(run_path(id) + "/exception", R"({"reason":"worker-shutdown"})", &run).status, 200);
  EXPECT_EQ(send({.target = task_path(id) + "/artifacts/public/r", .as = nullptr}).status, 404) << "run 1 has none";
  EXPECT_EQ(read("public/r").status, 303);
}

TEST_F(ArtifactsTest, ListsComeInPages) {
  for (const char* name : {"public/a", "public/b%2F", "public/c", "public/d d"})
    ASSERT_EQ(put_reference(name).status, 200);
  std::string list = run_path(id) + "/artifacts";
  std::string seen;
  std::string more = "?limit=3";
  for (int page = 0; page < 2; ++page) {
    Answer answer = get(list + more);
    ASSERT_EQ(answer.status, 200) << answer.text;
    for (const auto& artifact : answer.json().at("artifacts").as_array())
      seen += std::string(artifact.at("name").as_string()) + ",";
    EXPECT_EQ(answer.json().as_object().contains("continuationToken"), page == 0);
    if (page == 0) more = "?limit=3&continuationToken=" + net::percent_encode(answer.at("/continuationToken"));
  }
  EXPECT_EQ(seen, "public/a,public/b%2F,public/c,public/d d,");
  EXPECT_EQ(get(list + "?limit=0").status, 400);
  EXPECT_EQ(get(list + "?limit=1001").status, 200) << "more than a page has is a page";
  EXPECT_EQ(get(list + "?continuationToken=%25z").status, 400);
  EXPECT_EQ(get(task_path(id) + "/artifacts").json().at("artifacts").as_array().size(), 4u);
}

TEST_F(ArtifactsTest, ALogIsFollowedToItsEndAndThenIsAnArtifact) {
  auto early = begin(reading_log());
  ASSERT_EQ(append(0, "hello ").text, "{\"bytes\":6}");
  auto late = begin(reading_log(3));
  ASSERT_EQ(append(6, "world").text, "{\"bytes\":11}");
  EXPECT_FALSE(early->done);
  EXPECT_EQ(read("public/logs/live.log").headers.get("x-taskcluster-artifact-storage-type"), "reference");
  ASSERT_EQ(post(native_path(id) + "/report", R"({"reason":"completed","logBytes":11,"exit":{"code":0}})", &run).status,
            200);
  EXPECT_EQ(env.finish(early).text, "hello world");
  EXPECT_EQ(env.finish(late).text, "lo world");
  Answer finished = read("public/logs/live.log");
  EXPECT_EQ(finished.headers.get("x-taskcluster-artifact-storage-type"), "s3");
  EXPECT_EQ(send({.target = target_of(finished.at("/url")), .as = nullptr}).text, "hello world");
  EXPECT_EQ(send(reading_log(6)).text, "world");
}

TEST_F(ArtifactsTest, AppendingIsIdempotentAndRefusesGaps) {
  ASSERT_EQ(append(0, "abc").status, 200);
  EXPECT_EQ(append(0, "abc").text, "{\"bytes\":3}");
  EXPECT_EQ(append(1, "bcde").text, "{\"bytes\":5}");
  Answer gap = append(6, "x");
  EXPECT_EQ(gap.status, 409);
  EXPECT_NE(gap.at("/message").find("has 5 bytes"), std::string::npos);
  EXPECT_EQ(post(native_path(id) + "/report", R"({"reason":"completed","logBytes":9})", &run).status, 409)
      << "not all is here";
  EXPECT_EQ(runs(id), "running");
}

TEST_F(ArtifactsTest, ALogGoesOnAfterARestart) {
  ASSERT_EQ(append(0, "before ").status, 200);
  restart();
  ASSERT_EQ(append(7, "after").text, "{\"bytes\":12}");
  ASSERT_EQ(post(log_path("/close"), "{}", &run).status, 200);
  EXPECT_EQ(send(reading_log()).text, "before after");
  EXPECT_EQ(post(log_path("/close"), "{}", &run).status, 200) << "again is fine";
}

TEST_F(ArtifactsTest, AFinishedLogIsNotLostIfItsCommitFails) {
  ASSERT_EQ(append(0, "precious").status, 200);
  store.lock()->fail_next(store::Outcome::failed);
  std::string report = R"({"reason":"completed","logBytes":8})";
  EXPECT_EQ(post(native_path(id) + "/report", report, &run).status, 503);
  EXPECT_EQ(post(native_path(id) + "/report", report, &run).status, 200);
  EXPECT_EQ(send(reading_log()).text, "precious");
}

TEST_F(ArtifactsTest, WhoWaitsForALogLearnsItsNameOnlyWhenItBegins) {
  auto anonymous = begin(reading_log());
  auto root = begin({.target = log_path()});
  ASSERT_EQ(post(log_path("?offset=0&name=private/x.log"), "secret", &run).status, 200);
  EXPECT_THROW(env.finish(anonymous), Error) << "it is not a public log";
  EXPECT_EQ(send(reading_log()).status, 403);
  ASSERT_EQ(post(native_path(id) + "/report", R"({"reason":"completed","logBytes":6})", &run).status, 200);
  EXPECT_EQ(env.finish(root).text, "secret");
  EXPECT_EQ(send(reading_log()).status, 403);
}

TEST_F(ArtifactsTest, AFinishedLogIsNotBegunAgain) {
  ASSERT_EQ(append(0, "all of it").status, 200);
  ASSERT_EQ(post(log_path("/close"), "{}", &run).status, 200);
  EXPECT_EQ(append(0, "all of it").status, 409);
  EXPECT_EQ(append(9, "more").status, 409);
  EXPECT_EQ(send(reading_log()).text, "all of it");
}

TEST_F(ArtifactsTest, TheLogOfALostRunEndsWhereItEnds) {
  ASSERT_EQ(append(0, "half a sen").status, 200);
  env.advance(minutes(21));
  ASSERT_EQ(runs(id), "exception claim-expired, pending");
  EXPECT_EQ(send(reading_log()).text, "half a sen");
}

TEST_F(ArtifactsTest, ATaskThatEndsWithoutALogEndsItsReaders) {
  auto reader = begin(reading_log());
  ASSERT_EQ(post(run_path(id) + "/failed", "{}", &run).status, 200);
  EXPECT_EQ(env.finish(reader).text, "");
  EXPECT_EQ(send(reading_log()).status, 404);
}

}  // namespace
}  // namespace gantry::server
