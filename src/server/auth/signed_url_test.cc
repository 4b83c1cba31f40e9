#include "server/auth/signed_url.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace gantry::auth {
namespace {

const HmacSha256Key key("object-key");
const Time now = time_from_ms(1'700'000'000'500);
constexpr auto object = "task/x/0/public/log.txt";

std::string query(Time expires) { return signed_url_query("GET", object, expires, key); }

TEST(SignedUrl, AllowsOneMethodOnOneObject) {
  auto good = query(now + minutes(10));
  EXPECT_EQ(good.substr(0, 29), "expires=1700000600&signature=");
  EXPECT_EQ(good.find_first_of("+/% \n", 29), std::string::npos) << "safe in a URL";
  EXPECT_TRUE(check_signed_url("GET", object, good, now, key));
  EXPECT_FALSE(check_signed_url("PUT", object, good, now, key));
  EXPECT_FALSE(check_signed_url("GET", "task/x/0/public/log", good, now, key));
  EXPECT_FALSE(check_signed_url("GET", object, good, now, HmacSha256Key("other")));
}

TEST(SignedUrl, SaysWhenItExpired) {
  auto old = query(now + minutes(10));
  EXPECT_TRUE(check_signed_url("GET", object, old, now + minutes(9), key));
  auto result = check_signed_url("GET", object, old, now + minutes(12), key);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::expired);
  EXPECT_EQ(result.error().message(), "the signed URL expired 2m00s ago");
}

TEST(SignedUrl, IsForAtMost45Minutes) {
  EXPECT_TRUE(check_signed_url("GET", object, query(now + signed_url_life_max), now, key));
  auto result = check_signed_url("GET", object, query(now + minutes(47)), now, key);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::not_authorized);
}

TEST(SignedUrl, RefusesEveryChange) {
  auto good = query(now + minutes(10));
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto changed = good;
    changed[i] = changed[i] == '1' ? '2' : '1';
    EXPECT_FALSE(check_signed_url("GET", object, changed, now, key)) << changed;
    EXPECT_FALSE(check_signed_url("GET", object, good.substr(0, i), now, key));
  }
  for (const auto& changed :
       {std::string(), good + "&x=1", "x=1&" + good, good + good, std::string("expires=&signature="),
        std::string("expires=99999999999999999999&signature=")}) {
    auto result = check_signed_url("GET", object, changed, now, key);
    ASSERT_FALSE(result) << changed;
    EXPECT_EQ(result.error().code(), ErrorCode::not_authorized);
  }
}

}  // namespace
}  // namespace gantry::auth
