// The object service: uploads, their ends, reads, and what happens to those that nobody finished.
#include "server/api/object_service.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/sha512.h"
#include "core/objects/upload.h"
#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using net::Method;

struct ObjectServiceTest : testing::Test, ServerWorld {
  static constexpr const char* base = "/api/object/v1";
  std::string upload_id = TaskId::random(env).to_string();
  Time expires = env.now() + days(10);

  Answer create(const std::string& name, json::object methods) {
    json::object body{{"projectId", "proj"},
                      {"uploadId", upload_id},
                      {"expires", format_time(expires)},
                      {"proposedUploadMethods", std::move(methods)}};
    return send({.method = Method::put, .target = base + ("/upload/" + name), .body = wire::text_of(body)});
  }
  Answer create_put(const std::string& name, std::size_t bytes) {
    return create(name, {{"putUrl", {{"contentType", "text/plain"}, {"contentLength", bytes}}}});
  }
  Answer create_inline(const std::string& name, std::string_view bytes) {
    return create(name, {{"dataInline", {{"contentType", "text/plain"}, {"objectData", base64_encode(bytes)}}}});
  }
  static std::string target_of(const std::string& url) {
    EXPECT_TRUE(url.starts_with("http://gantry.test/")) << url;
    return url.substr(std::string_view("http://gantry.test").size());
  }
  Answer put(const Answer& created, std::string bytes, std::vector<std::pair<std::string, std::string>> headers = {}) {
    return send({.method = Method::put,
                 .target = target_of(created.at("/uploadMethod/putUrl/url")),
                 .body = std::move(bytes),
                 .as = nullptr,
                 .headers = std::move(headers)});
  }
  Answer finish(const std::string& name, json::object hashes = {}) {
    json::object body{{"projectId", "proj"}, {"uploadId", upload_id}, {"hashes", std::move(hashes)}};
    return post(base + ("/finish-upload/" + name), wire::text_of(body));
  }
  Answer start_download(const std::string& name, std::string method = "getUrl") {
    return send({.method = Method::put,
                 .target = base + ("/start-download/" + name),
                 .body = "{\"acceptDownloadMethods\":{\"" + method + "\":true}}"});
  }
  std::string read(const std::string& name) {
    Answer started = start_download(name);
    if (started.status != 200) return started.text;
    return send({.target = target_of(started.at("/url")), .as = nullptr}).text;
  }
  static json::object hashes_of(std::string_view bytes) {
    Sha512 sha512;
    sha512.update(bytes);
    return {{"sha256", hex(sha256(bytes))}, {"sha512", sha512.finish()}};
  }
  std::size_t records() { return store.lock()->scan(state::TableId::object, nullptr, 100).size(); }
};

TEST_F(ObjectServiceTest, UploadedByUrlAndReadBack) {
  Answer created = create_put("a%2Fb", 5);
  ASSERT_EQ(created.status, 200) << created.text;
  EXPECT_EQ(created.at("/uploadMethod/putUrl/headers/Content-Type"), "text/plain");
  EXPECT_EQ(created.at("/uploadMethod/putUrl/headers/Content-Length"), "5");
  EXPECT_EQ(finish("a%2Fb").status, 409);
  EXPECT_EQ(put(created, "hello").status, 200);
  EXPECT_EQ(start_download("a/b").status, 404);
  EXPECT_EQ(finish("a%2Fb", hashes_of("hello")).text, "{}");
  EXPECT_EQ(read("a/b"), "hello");
  Answer download = get(std::string(base) + "/download/a%2Fb");
  EXPECT_EQ(download.status, 303);
  Answer object = send({.target = target_of(std::string(download.headers.get("location"))), .as = nullptr});
  EXPECT_EQ(object.text, "hello");
  EXPECT_EQ(object.headers.get("content-type"), "text/plain");
  restart();
  Answer metadata = get(std::string(base) + "/metadata/a/b");
  EXPECT_EQ(metadata.json().at("hashes"), json::value(hashes_of("hello")));
  EXPECT_EQ(metadata.at("/projectId"), "proj");
  EXPECT_EQ(metadata.at("/expires"), format_time(expires));
}

TEST_F(ObjectServiceTest, SmallOnesComeInTheRequest) {
  std::string bytes(objects::inline_bytes_max, 'x');
  EXPECT_EQ(create_inline("a", bytes).at("/uploadMethod/dataInline"), "true");
  EXPECT_EQ(finish("a", hashes_of(bytes)).status, 200);
  EXPECT_EQ(read("a"), bytes);
  EXPECT_EQ(create_inline("b", bytes + "x").status, 400);
  EXPECT_EQ(create_inline("c", "").status, 200);
  EXPECT_EQ(finish("c", hashes_of("")).status, 200);
  EXPECT_EQ(read("c"), "");
}

TEST_F(ObjectServiceTest, WrongBytesAreRefused) {
  Answer created = create_put("a", 5);
  EXPECT_EQ(put(created, "hello!").status, 400);
  EXPECT_EQ(put(created, "hell").status, 400);
  EXPECT_EQ(put(created, "hello", {{"content-encoding", "gzip"}}).status, 400);
  EXPECT_EQ(finish("a").status, 409);
  EXPECT_EQ(put(created, "hallo").status, 200);
  EXPECT_EQ(finish("a", hashes_of("hello")).status, 400);
  EXPECT_EQ(put(created, "hello").status, 200);
  EXPECT_EQ(finish("a", hashes_of("hello")).status, 200);
  EXPECT_EQ(put(created, "hallo").status, 409);
  EXPECT_EQ(finish("a", hashes_of("hallo")).status, 409);
  EXPECT_EQ(finish("a", hashes_of("hello")).status, 200);
  EXPECT_EQ(read("a"), "hello");
}

TEST_F(ObjectServiceTest, AUrlIsForOneUpload) {
  Answer created = create_put("a", 5);
  create_put("b", 5);
  std::string target = target_of(created.at("/uploadMethod/putUrl/url"));
  std::size_t at = target.find("/a?");
  ASSERT_NE(at, std::string::npos);
  std::string other = target;
  other.replace(at, 3, "/b?");
  auto put_to = [&](std::string where) {
    return send({.method = Method::put, .target = std::move(where), .body = "hello", .as = nullptr}).status;
  };
  EXPECT_EQ(put_to(other), 403);
  EXPECT_EQ(put_to(target + "x"), 403);
  EXPECT_EQ(put_to(target), 200);
  env.advance(hours(1));
  EXPECT_EQ(put_to(target), 410);
}

TEST_F(ObjectServiceTest, NobodyElseUploadsTheSameName) {
  EXPECT_EQ(create("a", {}).text, create("a", {}).text);
  std::string mine = upload_id;
  upload_id = TaskId::random(env).to_string();
  EXPECT_EQ(create("a", {}).status, 409);
  EXPECT_EQ(finish("a").status, 409);
  upload_id = mine;
  EXPECT_EQ(create("a", {}).status, 200);
  EXPECT_EQ(finish("none").status, 404);
}

TEST_F(ObjectServiceTest, WhatExpiredIsSweptAndItsNameIsFree) {
  expires = env.now() + days(2);
  create_inline("short", "one");
  finish("short");
  create_inline("unfinished", "two");
  expires = env.now() + days(9);
  create_inline("long", "three");
  finish("long");
  env.advance(days(1));
  EXPECT_EQ(read("short"), "one");
  EXPECT_EQ(finish("unfinished").status, 404);
  env.advance(days(1));
  EXPECT_EQ(start_download("short").status, 404);
  upload_id = TaskId::random(env).to_string();
  EXPECT_EQ(create_inline("short", "new").status, 200);
  struct Sweep {
    static Async<bool> run(Services& services) {
      SweepCursor cursor;
      co_return co_await sweep_objects(services, cursor);
    }
  };
  EXPECT_TRUE(env.finish(env.start(Sweep::run(server->services()))));
  EXPECT_EQ(records(), 2u);
  finish("short");
  EXPECT_EQ(read("short"), "new");
  EXPECT_EQ(read("long"), "three");
}

TEST_F(ObjectServiceTest, InputAndScopes) {
  auto create_with = [&](std::string body) {
    return send({.method = Method::put, .target = std::string(base) + "/upload/a", .body = std::move(body)}).status;
  };
  std::string id = "\"uploadId\":\"" + upload_id + "\",";
  std::string rest = "\"expires\":\"" + format_time(expires) + "\",\"proposedUploadMethods\":{}";
  EXPECT_EQ(create_with("{\"projectId\":\"p\"," + id + rest + "}"), 200);
  EXPECT_EQ(create_with("{" + id + rest + "}"), 400);
  EXPECT_EQ(create_with("{\"projectId\":\"p q\"," + id + rest + "}"), 400);
  EXPECT_EQ(create_with("{\"projectId\":\"p\",\"uploadId\":\"x\"," + rest + "}"), 400);
  EXPECT_EQ(create_with("{\"projectId\":\"p\"," + id + rest + ",\"more\":1}"), 400);
  EXPECT_EQ(create_with("{\"projectId\":\"p\"," + id + rest + ",\"hashes\":{\"sha256\":\"x\"}}"), 400);
  EXPECT_EQ(create_with("{\"projectId\":\"p\"," + id + rest + ",\"hashes\":{\"sha9\":\"x\"}}"), 200);
  EXPECT_EQ(start_download("a", "simple").status, 404);
  create_inline("b", "x");
  finish("b");
  EXPECT_EQ(start_download("b", "simple").at("/method"), "simple");
  EXPECT_EQ(start_download("b", "other").status, 400);
  Ask none{.method = Method::put,
           .target = std::string(base) + "/start-download/b",
           .body = R"({"acceptDownloadMethods":{}})"};
  EXPECT_EQ(send(none).status, 406);
  EXPECT_EQ(send(none).at("/code"), "NoMatchingMethod");
  Ask metadata{.target = std::string(base) + "/metadata/b"};
  metadata.authorized_scopes = {"object:download:b"};
  EXPECT_EQ(send(metadata).status, 200);
  metadata.authorized_scopes = {"object:download:a"};
  EXPECT_EQ(send(metadata).status, 403);
  json::object body{{"projectId", "proj"},
                    {"uploadId", upload_id},
                    {"expires", format_time(expires)},
                    {"proposedUploadMethods", json::object()}};
  Ask create{.method = Method::put, .target = std::string(base) + "/upload/c", .body = wire::text_of(body)};
  create.authorized_scopes = {"object:upload:other:c"};
  EXPECT_EQ(send(create).status, 403);
  create.authorized_scopes = {"object:upload:proj:c"};
  EXPECT_EQ(send(create).status, 200);
}

TEST_F(ObjectServiceTest, AnArtifactOfTypeObject) {
  auto [id, run] = running();
  json::object request{{"storageType", "object"},
                       {"contentType", "text/plain"},
                       {"contentLength", 5},
                       {"expires", format_time(env.now() + minutes(30))}};
  std::string path = run_path(id) + "/artifacts/public/x";
  Answer made = post(path, wire::text_of(request), &run);
  ASSERT_EQ(made.status, 200) << made.text;
  EXPECT_EQ(made.at("/name"), "t/" + id.to_string() + "/0/public/x");
  wire::HawkCredentials grant = credentials_in(made, "");
  json::object upload{{"projectId", made.at("/projectId")},
                      {"uploadId", made.at("/uploadId")},
                      {"expires", made.at("/expires")},
                      {"proposedUploadMethods",
                       {{"dataInline", {{"contentType", "text/plain"}, {"objectData", base64_encode("hello")}}}}}};
  std::string name = net::percent_encode(made.at("/name"));
  Ask create{.method = Method::put, .target = base + ("/upload/" + name), .body = wire::text_of(upload), .as = &grant};
  EXPECT_EQ(send(create).status, 200);
  json::object finished{{"projectId", made.at("/projectId")}, {"uploadId", made.at("/uploadId")}};
  EXPECT_EQ(post(base + ("/finish-upload/" + name), wire::text_of(finished), &grant).status, 200);
  EXPECT_EQ(get(path).status, 404);
  Ask finish_artifact{
      .method = Method::put, .target = path, .body = "{\"uploadId\":\"" + made.at("/uploadId") + "\"}", .as = &run};
  EXPECT_EQ(send(finish_artifact).status, 204);
  Answer redirect = get(path);
  EXPECT_EQ(redirect.status, 303) << redirect.text;
  EXPECT_EQ(send({.target = target_of(redirect.at("/url")), .as = nullptr}).text, "hello");
  Answer content = get(run_path(id) + "/artifact-content/public/x");
  EXPECT_EQ(content.at("/storageType"), "object");
  wire::HawkCredentials reader = credentials_in(content, "");
  EXPECT_EQ(send({.target = base + ("/metadata/" + name), .as = &reader}).status, 200);
}

}  // namespace
}  // namespace gantry::server
