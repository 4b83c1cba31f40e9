#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/access/limits.h"
#include "server/testing/server_world.h"

namespace gantry::server {
namespace {

using enum net::Method;

const std::string api = "/api/secrets/v1";

class SecretsTest : public testing::Test {
 protected:
  Answer ask(net::Method method, const std::string& path, std::string body = {},
             const wire::HawkCredentials* as = &root_credentials) {
    return world_.send({.method = method, .target = api + path, .body = std::move(body), .as = as});
  }
  std::string body_of(const std::string& value, Duration life = hours(1)) {
    return fmt::format(R"({{"secret":{},"expires":"{}"}})", value, format_time(world_.env.now() + life));
  }

  ServerWorld world_;
};

TEST_F(SecretsTest, ASecretIsSetReadReplacedAndDeleted) {
  EXPECT_EQ(ask(get, "/secret/project/key").status, 404);
  EXPECT_EQ(ask(put, "/secret/project%2Fkey", body_of(R"({"password":"hunter2","n":[1,null]})")).text, "{}");
  EXPECT_EQ(ask(get, "/secret/project/key").at("/secret"), R"({"n":[1,null],"password":"hunter2"})");
  EXPECT_EQ(ask(put, "/secret/project/key", body_of(R"({"password":"other"})")).status, 200);
  world_.restart();
  EXPECT_EQ(ask(get, "/secret/project%2Fkey").at("/secret/password"), "other");
  EXPECT_EQ(ask(delete_, "/secret/project/key").status, 200);
  EXPECT_EQ(ask(get, "/secret/project/key").status, 404);
  EXPECT_EQ(ask(delete_, "/secret/project/key").status, 200);
}

TEST_F(SecretsTest, AValueIsSealedInTheStore) {
  ask(put, "/secret/s", body_of(R"({"password":"hunter2"})"));
  auto value = world_.store.lock()->read(state::TableId::secret, {0, "s"});
  ASSERT_TRUE(value);
  EXPECT_EQ(value->find("hunter2"), std::string::npos);
  EXPECT_EQ(value->find("password"), std::string::npos);
}

TEST_F(SecretsTest, ErrorsDoNotRepeatAValue) {
  auto expires = format_time(world_.env.now() + hours(1));
  for (const std::string& body : {
           fmt::format(R"({{"secrte":{{"password":"hunter2"}},"expires":"{}"}})", expires),
           fmt::format(R"({{"secret":"hunter2","expires":"{}"}})", expires),
           std::string(R"({"secret":{"password":"hunter2"},"expires":"hunter"})"),
           std::string(R"({"secret":{"password":"hunter2"}})"),
           std::string(R"({"secret":{"password":"hunter2"})"),
           std::string("hunter2"),
           std::string(R"(["hunter2"])"),
           fmt::format(R"({{"secret":{{}},"expires":"{}","comment":"hunter2"}})", expires),
       }) {
    Answer answer = ask(put, "/secret/s", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(answer.text.find("hunter2"), std::string::npos) << answer.text;
  }
  world_.store.lock()->fail_next(store::Outcome::failed);
  Answer unavailable = ask(put, "/secret/s", body_of(R"({"password":"hunter2"})"));
  EXPECT_EQ(unavailable.status, 503);
  EXPECT_EQ(unavailable.text.find("hunter2"), std::string::npos);
  EXPECT_EQ(unavailable.at("/requestInfo/payload"), "{}");
}

TEST_F(SecretsTest, ScopesNameTheSecret) {
  auto token = world_.send(
      {.method = put,
       .target = "/api/auth/v1/clients/c",
       .body = fmt::format(R"({{"description":"","expires":"{}","scopes":["secrets:get:a/*","secrets:set:a/x"]}})",
                           format_time(world_.env.now() + hours(1)))});
  wire::HawkCredentials client{"c", token.at("/accessToken"), ""};
  EXPECT_EQ(ask(put, "/secret/a/x", body_of("{}"), &client).status, 200);
  EXPECT_EQ(ask(put, "/secret/a/y", body_of("{}"), &client).status, 403);
  EXPECT_EQ(ask(get, "/secret/a/x", {}, &client).status, 200);
  EXPECT_EQ(ask(get, "/secret/a/y", {}, &client).status, 404);
  EXPECT_EQ(ask(get, "/secret/b", {}, &client).status, 403) << "whether it is there is not told";
  EXPECT_EQ(ask(delete_, "/secret/a/y", {}, &client).status, 403);
  EXPECT_EQ(ask(get, "/secrets", {}, &client).status, 403);
  EXPECT_EQ(ask(get, "/secret/a/x", {}, nullptr).status, 403);
}

TEST_F(SecretsTest, AnExpiredSecretIsGone) {
  ask(put, "/secret/short", body_of("{}", minutes(30)));
  ask(put, "/secret/long", body_of("{}", hours(24)));
  world_.env.advance(minutes(30));
  EXPECT_EQ(ask(get, "/secret/short").status, 410);
  world_.env.advance(hours(2));
  EXPECT_EQ(ask(get, "/secret/short").status, 404) << "the sweep has been here";
  EXPECT_EQ(ask(get, "/secret/long").status, 200);
}

TEST_F(SecretsTest, NamesAreListedInPages) {
  for (int i = 0; i < 205; ++i) ask(put, fmt::format("/secret/s{:03}", i), body_of("{}"));
  EXPECT_EQ(ask(get, "/secrets").json().at("secrets").as_array().size(), 205u);
  std::size_t seen = 0;
  std::string query = "?limit=150";
  for (int page = 0; page < 2; ++page) {
    Answer answer = ask(get, "/secrets" + query);
    seen += answer.json().at("secrets").as_array().size();
    bool more = answer.json().as_object().contains("continuationToken");
    EXPECT_EQ(more, page == 0);
    if (more) query = "?continuationToken=" + net::percent_encode(answer.at("/continuationToken"));
  }
  EXPECT_EQ(seen, 205u);
}

TEST_F(SecretsTest, SizesAndNamesHaveLimits) {
  auto value_of = [](std::size_t bytes) { return R"({"v":")" + std::string(bytes - 8, 'x') + "\"}"; };
  EXPECT_EQ(ask(put, "/secret/at", body_of(value_of(access::secret_bytes_max))).status, 200);
  EXPECT_EQ(ask(put, "/secret/above", body_of(value_of(access::secret_bytes_max + 1))).status, 413);
  EXPECT_EQ(ask(put, "/secret/" + std::string(access::secret_name_bytes_max, 'n'), body_of("{}")).status, 200);
  EXPECT_EQ(ask(put, "/secret/" + std::string(access::secret_name_bytes_max + 1, 'n'), body_of("{}")).status, 400);
  EXPECT_EQ(ask(put, "/secret/%00", body_of("{}")).status, 400);
}

}  // namespace
}  // namespace gantry::server
