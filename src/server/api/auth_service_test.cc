#include "server/api/auth_service.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/access/limits.h"
#include "server/auth/certificate.h"
#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using enum net::Method;

const std::string api = "/api/auth/v1";

std::string texts(const std::vector<std::string>& list) {
  std::string out;
  JsonWriter writer(out);
  writer.begin_array();
  for (const std::string& text : list) writer.string(text);
  writer.end_array();
  return out;
}

class AuthServiceTest : public testing::Test {
 protected:
  Answer ask(net::Method method, const std::string& path, std::string body = {},
             const wire::HawkCredentials* as = &root_credentials) {
    return world_.send({.method = method, .target = api + path, .body = std::move(body), .as = as});
  }
  std::string client_json(const std::vector<std::string>& scopes, Duration life = hours(24)) {
    return fmt::format(R"({{"description":"why","expires":"{}","scopes":{}}})", format_time(world_.env.now() + life),
                       texts(scopes));
  }
  static std::string role_json(const std::vector<std::string>& scopes) {
    return fmt::format(R"({{"description":"why","scopes":{}}})", texts(scopes));
  }
  wire::HawkCredentials make_client(const std::string& id, const std::vector<std::string>& scopes,
                                    Duration life = hours(24)) {
    Answer answer = ask(put, "/clients/" + net::percent_encode(id), client_json(scopes, life));
    EXPECT_EQ(answer.status, 200) << answer.text;
    return {id, answer.at("/accessToken"), ""};
  }
  void make_role(const std::string& id, const std::vector<std::string>& scopes) {
    Answer answer = ask(put, "/roles/" + net::percent_encode(id), role_json(scopes));
    EXPECT_EQ(answer.status, 200) << answer.text;
  }
  /// What the server takes these credentials for: "<client>: scope scope", or its complaint.
  std::string seen(const wire::HawkCredentials& as, std::vector<std::string> authorized = {}) {
    Answer answer =
        world_.send({.target = api + "/scopes/current", .as = &as, .authorized_scopes = std::move(authorized)});
    if (answer.status != 200) return fmt::format("{} {}", answer.status, message(answer));
    std::string out;
    for (const auto& scope : answer.json().at("scopes").as_array()) {
      out += (out.empty() ? "" : " ") + std::string(scope.as_string());
    }
    return out;
  }
  static std::string message(const Answer& answer) {
    std::string text = answer.at("/message");
    return text.substr(0, text.find('\n'));
  }
  /// Temporary credentials issued by a client.
  wire::HawkCredentials issued(const wire::HawkCredentials& by, const std::string& name,
                               const std::vector<std::string>& scopes) {
    auth::Issuer issuer{by.client_id, HmacSha256Key(by.access_token)};
    auto made = auth::issue(issuer, name, scopes, world_.env.now(), world_.env.now() + minutes(20),
                            auth::random_certificate_seed(world_.env));
    return {made.client_id, made.access_token, made.certificate};
  }

  ServerWorld world_;
  const std::string everybodys_ = "assume:anonymous";
};

TEST_F(AuthServiceTest, AClientIsMadeUsedAndDisabled) {
  auto client = make_client("ci/bot", {"auth:current-scopes", "a:*"});
  std::string mine = "a:* assume:anonymous auth:current-scopes queue:get-artifact:public/*";
  EXPECT_EQ(seen(client), mine);
  EXPECT_EQ(ask(post, "/clients/ci%2Fbot/disable", "{}").at("/disabled"), "true");
  EXPECT_EQ(seen(client), "401 client 'ci/bot' is disabled");
  EXPECT_EQ(ask(post, "/clients/ci/bot/enable", "{}").at("/disabled"), "false") << "slashes as they are";
  EXPECT_EQ(seen(client), mine);
  Answer reset = ask(post, "/clients/ci%2Fbot/reset", "{}");
  EXPECT_EQ(seen(client).substr(0, 3), "401");
  client.access_token = reset.at("/accessToken");
  EXPECT_EQ(seen(client), mine);
  EXPECT_EQ(ask(delete_, "/clients/ci/bot").status, 200);
  EXPECT_EQ(seen(client), "401 the client is not known");
  EXPECT_EQ(ask(delete_, "/clients/ci/bot").status, 200) << "again";
  EXPECT_EQ(ask(get, "/clients/ci%2Fbot").status, 404);
}

TEST_F(AuthServiceTest, ATokenIsToldOnceAndKeptSealed) {
  auto client = make_client("c", {"auth:current-scopes"});
  Answer shown = ask(get, "/clients/c");
  EXPECT_EQ(shown.status, 200);
  EXPECT_EQ(shown.text.find(client.access_token), std::string::npos);
  EXPECT_EQ(shown.at("/clientId"), "c");
  EXPECT_EQ(shown.at("/expandedScopes"), R"(["auth:current-scopes"])");
  EXPECT_EQ(ask(get, "/clients/").text.find(client.access_token), std::string::npos);
  const auto* row = world_.server->state().table<state::Client>().find("c");
  EXPECT_EQ(row->record.sealed_token.find(client.access_token), std::string::npos);
  Answer again = ask(put, "/clients/c", client_json({"auth:current-scopes"}));
  EXPECT_EQ(again.status, 409) << "made at another time, so it expires at another: " << again.text;
}

TEST_F(AuthServiceTest, TheSameCreationAgainTellsTheSameToken) {
  std::string body = client_json({"a"});
  Answer first = ask(put, "/clients/c", body);
  Answer second = ask(put, "/clients/c", body);
  EXPECT_EQ(second.status, 200) << second.text;
  EXPECT_EQ(first.at("/accessToken"), second.at("/accessToken"));
}

TEST_F(AuthServiceTest, ClientsAndTheirTokensOutliveARestart) {
  auto client = make_client("c", {"auth:current-scopes"});
  EXPECT_EQ(ask(post, "/roles/anonymous", role_json({"x"})).status, 200);
  world_.restart();
  EXPECT_EQ(seen(client), "assume:anonymous auth:current-scopes x");
  EXPECT_EQ(ask(delete_, "/roles/anonymous").status, 200);
  world_.restart();
  EXPECT_EQ(seen(client), "assume:anonymous auth:current-scopes") << "what was deleted does not come back";
}

TEST_F(AuthServiceTest, ANewRoleCountsAtOnceForCredentialsThatWereSeen) {
  auto client = make_client("c", {"auth:current-scopes", "assume:team:red"});
  auto temporary = issued(client, "", {"auth:current-scopes", "assume:team:red"});
  std::string before = "assume:anonymous assume:team:red auth:current-scopes queue:get-artifact:public/*";
  EXPECT_EQ(seen(client), before);
  EXPECT_EQ(seen(temporary), before);
  make_role("team:*", {"paint:<..>"});
  EXPECT_EQ(seen(client), "assume:anonymous assume:team:red auth:current-scopes paint:red queue:get-artifact:public/*");
  EXPECT_EQ(seen(temporary), seen(client));
  EXPECT_EQ(ask(delete_, "/roles/team:*").status, 200);
  EXPECT_EQ(seen(client), before);
  EXPECT_EQ(seen(temporary), before);
}

TEST_F(AuthServiceTest, TemporaryCredentialsHaveNoMoreThanTheirIssuer) {
  auto client = make_client("c", {"auth:current-scopes", "a:*", "auth:create-client:c/*", "assume:r"});
  make_role("r", {"from-role"});
  EXPECT_EQ(seen(issued(client, "", {"auth:current-scopes", "a:b", "from-role"})),
            "a:b assume:anonymous auth:current-scopes from-role queue:get-artifact:public/*");
  EXPECT_EQ(seen(issued(client, "", {"b"})), "401 the certificate's issuer 'c' does not hold: b");
  EXPECT_EQ(seen(issued(client, "", {"a*"})), "401 the certificate's issuer 'c' does not hold: a*");
  EXPECT_EQ(seen(issued(client, "c/x", {"auth:current-scopes"})),
            "assume:anonymous auth:current-scopes queue:get-artifact:public/*");
  EXPECT_EQ(seen(issued(client, "d/x", {"auth:current-scopes"})),
            "401 the certificate's issuer 'c' does not hold: auth:create-client:d/x");
  auto kept = issued(client, "c/x", {"auth:current-scopes"});
  seen(kept);
  ask(post, "/clients/c/disable", "{}");
  EXPECT_EQ(seen(kept), "401 client 'c' is disabled");
  ask(post, "/clients/c/enable", "{}");
  EXPECT_NE(seen(kept).substr(0, 3), "401");
  EXPECT_EQ(ask(post, "/clients/c", client_json({"auth:current-scopes"})).status, 200);
  EXPECT_EQ(seen(kept), "401 the certificate's issuer 'c' does not hold: auth:create-client:c/x");
  ask(delete_, "/clients/c");
  EXPECT_EQ(seen(kept), "401 the certificate was issued by a client that is not known here");
}

TEST_F(AuthServiceTest, AuthorizedScopesNarrowWhatRolesGive) {
  make_role("r", {"auth:*"});
  auto client = make_client("c", {"assume:r"});
  EXPECT_EQ(seen(client, {"auth:current-scopes"}), "assume:anonymous auth:current-scopes queue:get-artifact:public/*");
  EXPECT_EQ(seen(client, {"queue:x"}).substr(0, 3), "401");
  EXPECT_EQ(seen(issued(client, "", {"assume:r"}), {"auth:current-scopes", "queue:get-artifact:public/x"}),
            "assume:anonymous auth:current-scopes queue:get-artifact:public/*");
}

TEST_F(AuthServiceTest, AnExpiredClientIsKeptOutAndPerhapsDeleted) {
  auto client = make_client("c", {"auth:current-scopes"}, hours(1));
  std::string body = client_json({}, hours(1));
  body.insert(1, "\"deleteOnExpiration\":true,");
  ask(put, "/clients/gone", body);
  auto temporary = issued(client, "", {"auth:current-scopes"});
  seen(temporary);
  world_.env.advance(hours(1) + seconds(1));
  EXPECT_NE(seen(client).find("401 client 'c' expired at "), std::string::npos);
  EXPECT_NE(seen(temporary).find("401 client 'c' expired at "), std::string::npos);
  world_.env.advance(minutes(2));
  EXPECT_EQ(ask(get, "/clients/gone").status, 404);
  EXPECT_EQ(ask(get, "/clients/c").status, 200);
}

TEST_F(AuthServiceTest, ACallerGivesOnlyWhatItHolds) {
  auto admin = make_client("admin", {"auth:create-client:x/*", "auth:update-client:x/*", "auth:create-role:x*",
                                     "auth:update-role:x*", "a:*"});
  auto make = [&](const std::string& path, const std::string& body) { return ask(put, path, body, &admin); };
  EXPECT_EQ(make("/clients/x%2F1", client_json({"a:b"})).status, 200);
  Answer more = make("/clients/x%2F2", client_json({"a:b", "c", "d"}));
  EXPECT_EQ(more.status, 403);
  EXPECT_EQ(message(more), "client 'admin' lacks the scopes: c and d");
  EXPECT_EQ(more.at("/code"), "InsufficientScopes");
  EXPECT_EQ(make("/clients/y", client_json({})).status, 403);
  EXPECT_EQ(make("/roles/x1", role_json({"a:b"})).status, 200);
  EXPECT_EQ(make("/roles/x2", role_json({"c"})).status, 403);
  ask(put, "/roles/x3", role_json({"c"}));
  EXPECT_EQ(ask(post, "/roles/x3", role_json({"c", "a:1"}), &admin).status, 200) << "c was there";
  EXPECT_EQ(ask(post, "/roles/x3", role_json({"c", "d"}), &admin).status, 403);
  EXPECT_EQ(ask(post, "/clients/x%2F1", client_json({"a:b", "c"}), &admin).status, 403);
  EXPECT_EQ(ask(post, "/clients/x%2Fnone", client_json({}), &admin).status, 404);
  EXPECT_EQ(ask(post, "/clients/y%2Fnone", client_json({}), &admin).status, 403);
  for (auto [method, path] : std::vector<std::pair<net::Method, std::string>>{{get, "/clients/"},
                                                                              {get, "/clients/x%2F1"},
                                                                              {delete_, "/clients/x%2F1"},
                                                                              {post, "/clients/x%2F1/reset"},
                                                                              {post, "/clients/x%2F1/disable"},
                                                                              {post, "/clients/x%2F1/enable"},
                                                                              {get, "/roles/"},
                                                                              {get, "/roles2/"},
                                                                              {get, "/roleids/"},
                                                                              {get, "/roles/x1"},
                                                                              {delete_, "/roles/x1"},
                                                                              {get, "/scopes/current"}}) {
    EXPECT_EQ(ask(method, path, method == post ? "{}" : "", &admin).status, 403) << path;
    EXPECT_EQ(ask(method, path, method == post ? "{}" : "", nullptr).status, 403) << path;
  }
}

TEST_F(AuthServiceTest, BadRequestsAreRefused) {
  auto expires = format_time(world_.env.now());
  for (const std::string& body : {
           std::string("{}"),
           std::string("[]"),
           std::string(R"({"description":"d"})"),
           fmt::format(R"({{"expires":"{}"}})", expires),
           std::string(R"({"description":"d","expires":"soon"})"),
           fmt::format(R"({{"description":"d","expires":"{}","scopes":"a"}})", expires),
           fmt::format(R"({{"description":"d","expires":"{}","scopes":[1]}})", expires),
           fmt::format(R"({{"description":"d","expires":"{}","scopes":["a","a"]}})", expires),
           fmt::format(R"({{"description":"d","expires":"{}","scopes":["a**"]}})", expires),
           fmt::format(R"({{"description":"d","expires":"{}","scopes":["\u00e4"]}})", expires),
           fmt::format(R"({{"description":"d","expires":"{}","clientId":"c"}})", expires),
       }) {
    EXPECT_EQ(ask(put, "/clients/c", body).status, 400) << body;
  }
  for (const char* id : {"root", "static%2Fx", "a%20b", "a*", "%C3%A4"}) {
    EXPECT_EQ(ask(put, std::string("/clients/") + id, client_json({})).status, 400) << id;
  }
  EXPECT_EQ(ask(put, "/roles/a", role_json({"assume:a"})).status, 400);
  EXPECT_EQ(ask(put, "/roles/a%0A", role_json({})).status, 400);
  EXPECT_EQ(ask(get, "/clients/?limit=0").status, 400);
  EXPECT_EQ(ask(get, "/clients/?continuationToken=!").status, 400);
  EXPECT_EQ(ask(get, "/clients/?colour=red").status, 400);
}

TEST_F(AuthServiceTest, ListsComeInPages) {
  for (const char* id : {"b/2", "a/1", "b/1", "b/3"}) make_client(id, {});
  auto ids = [](const Answer& answer, const char* list, const char* name) {
    std::string out;
    for (const auto& one : answer.json().at(list).as_array()) out += std::string(one.at(name).as_string()) + " ";
    return out;
  };
  EXPECT_EQ(ids(ask(get, "/clients/"), "clients", "clientId"), "a/1 b/1 b/2 b/3 ");
  Answer page = ask(get, "/clients/?prefix=b%2F&limit=2");
  EXPECT_EQ(ids(page, "clients", "clientId"), "b/1 b/2 ");
  page =
      ask(get, "/clients/?prefix=b%2F&limit=2&continuationToken=" + net::percent_encode(page.at("/continuationToken")));
  EXPECT_EQ(ids(page, "clients", "clientId"), "b/3 ");
  EXPECT_FALSE(page.json().as_object().contains("continuationToken"));
  make_role("r1", {"a"});
  make_role("r2/x y", {"assume:r1"});
  EXPECT_EQ(ask(get, "/roles/").json().as_array().size(), 3u);
  EXPECT_EQ(ask(get, "/roleids/").at("/roleIds"), R"(["anonymous","r1","r2/x y"])");
  Answer roles = ask(get, "/roles2/?limit=1");
  EXPECT_EQ(ids(roles, "roles", "roleId"), "anonymous ");
  roles = ask(get, "/roles2/?continuationToken=" + net::percent_encode(roles.at("/continuationToken")));
  EXPECT_EQ(ids(roles, "roles", "roleId"), "r1 r2/x y ");
  EXPECT_EQ(ask(get, "/roles/r2/x%20y").at("/expandedScopes"), R"(["a","assume:r1","assume:r2/x y"])");
}

TEST_F(AuthServiceTest, ExpandsScopes) {
  make_role("r*", {"x:<..>"});
  EXPECT_EQ(ask(post, "/scopes/expand", R"({"scopes":["assume:r1","b","b*"]})").at("/scopes"),
            R"(["assume:r1","b*","x:1"])");
  EXPECT_EQ(ask(post, "/scopes/expand", R"({"scopes":[7]})").status, 400);
  EXPECT_EQ(ask(post, "/scopes/expand", R"({"scopes":[]})", nullptr).status, 403);
}

TEST_F(AuthServiceTest, ChecksTheRequestsOfOthers) {
  auto client = make_client("c", {"a"});
  auto check = [&](const std::string& authorization, const std::string& resource = "/x?y=1") {
    std::string body;
    JsonWriter out(body);
    out.begin_object().field("method", "get").field("resource", resource).field("host", "svc.test").field("port", 443);
    if (!authorization.empty()) out.field("authorization", authorization);
    out.field("sourceIp", "127.0.0.1").end_object();
    return ask(post, "/authenticate-hawk", body, nullptr);
  };
  wire::HawkSigner signer(client);
  std::string header = signer.header({"GET", "/x?y=1", "svc.test", 443}, world_.env.now(), "n");
  Answer good = check(header);
  EXPECT_EQ(good.at("/status"), "auth-success");
  EXPECT_EQ(good.at("/clientId"), "c");
  EXPECT_EQ(good.at("/scheme"), "hawk");
  EXPECT_EQ(good.at("/scopes"), R"(["a","assume:anonymous","queue:get-artifact:public/*"])");
  EXPECT_NE(good.at("/expires").find("Z"), std::string::npos);
  Answer bad = check(header, "/other");
  EXPECT_EQ(bad.status, 200);
  EXPECT_EQ(bad.at("/status"), "auth-failed");
  EXPECT_EQ(bad.at("/message"), "the request's signature is wrong");
  EXPECT_EQ(check("").at("/status"), "no-auth");
  EXPECT_EQ(check("").at("/scopes"), R"(["assume:anonymous","queue:get-artifact:public/*"])");
  std::string bewit = signer.bewit("/x?y=1", "svc.test", 443, world_.env.now() + minutes(5));
  EXPECT_EQ(check("", "/x?y=1&bewit=" + bewit).at("/clientId"), "c");
  EXPECT_EQ(ask(post, "/authenticate-hawk", "{}", nullptr).status, 400);
  EXPECT_EQ(ask(post, "/authenticate-hawk", std::string(70'000, ' '), nullptr).status, 413);
}

TEST_F(AuthServiceTest, TheTesterTestsClients) {
  const wire::HawkCredentials tester{"tester", "no-secret", ""};
  std::string body = R"({"clientScopes":["test:*","auth:create-client:tmp/*"],"requiredScopes":["test:a"]})";
  EXPECT_EQ(ask(post, "/test-authenticate", body, &tester).text,
            R"({"clientId":"tester","scopes":["assume:anonymous","auth:create-client:tmp/*","test:*"]})");
  auto temporary = issued(tester, "tmp/x", {"test:a"});
  EXPECT_EQ(ask(post, "/test-authenticate", body, &temporary).text,
            R"({"clientId":"tmp/x","scopes":["assume:anonymous","test:a"]})");
  auto too_much = issued(tester, "", {"other"});
  EXPECT_EQ(ask(post, "/test-authenticate", body, &too_much).status, 401);
  EXPECT_EQ(ask(post, "/test-authenticate", R"({"clientScopes":["x"],"requiredScopes":["test:a"]})", &tester).status,
            403);
  EXPECT_EQ(ask(post, "/test-authenticate", body).status, 401) << "root is not known there";
  EXPECT_EQ(ask(get, "/test-authenticate-get/", {}, &tester).at("/clientId"), "tester");
  EXPECT_EQ(ask(get, "/test-authenticate-get/", {}, nullptr).status, 403);
}

TEST_F(AuthServiceTest, LastUseIsNotedEvery6Hours) {
  auto client = make_client("c", {"auth:current-scopes"});
  Time made = world_.env.now();
  seen(client);
  world_.env.advance(minutes(2));
  EXPECT_EQ(ask(get, "/clients/c").at("/lastDateUsed"), ask(get, "/clients/c").at("/created"));
  world_.env.advance(hours(7));
  EXPECT_EQ(ask(get, "/clients/c").at("/lastDateUsed"), ask(get, "/clients/c").at("/created")) << "nobody used it";
  seen(client);
  world_.env.advance(minutes(2));
  EXPECT_GE(parse_time(ask(get, "/clients/c").at("/lastDateUsed")).value_or(Time()), made + hours(7));
  EXPECT_NE(seen(client).substr(0, 3), "401");
}

TEST_F(AuthServiceTest, AFailedWriteTakesAwayWhatItGave) {
  auto client = make_client("c", {"auth:current-scopes", "assume:r"});
  std::string before = seen(client);
  world_.store.lock()->fail_next(store::Outcome::failed);
  EXPECT_EQ(ask(put, "/roles/r", role_json({"x"})).status, 503);
  EXPECT_EQ(seen(client), before);
  make_role("r", {"y"});
  EXPECT_NE(seen(client).find(" y"), std::string::npos);
  EXPECT_EQ(seen(client).find(" x"), std::string::npos);
}

TEST_F(AuthServiceTest, AServerWithoutTheKeyRefusesToStart) {
  make_client("c", {});
  world_.stop();
  world_.seal_keys = {auth::make_seal_key({1})};
  try {
    world_.start();
    FAIL() << "it started";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("not in secret.key"), std::string::npos) << error.message();
    EXPECT_NE(error.hint().find("backup"), std::string::npos);
  }
  world_.server.reset();
  world_.seal_keys.push_back(auth::make_seal_key({}));  // rotated: the old key stays for what is there
  world_.start();
  EXPECT_EQ(ask(get, "/clients/c").status, 200);
  EXPECT_EQ(ask(post, "/clients/c/reset", "{}").status, 200);
}

}  // namespace
}  // namespace gantry::server
