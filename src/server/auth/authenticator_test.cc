#include "server/auth/authenticator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "wire/hawk.h"

namespace gantry::auth {
namespace {

using access::ScopeSet;

const Time now = time_from_ms(1'700'000'000'000);
constexpr std::string_view seed = "3VLsKAddT-ib5FqFGgPZWwhpvI_0H8SpqK3HTsojHkpA";
constexpr auto target = "/api/queue/v1/task/x?limit=2";
const wire::HawkCredentials root{"root", "root-secret", ""};
const ScopeSet public_scopes{"queue:get-artifact:public/*"};

class AuthenticatorTest : public testing::Test {
 protected:
  wire::HawkCredentials temporary(std::string_view name, const std::vector<std::string>& scopes, Time start,
                                  Time expiry) {
    auto issued = authenticator_.issue_temporary(name, scopes, start, expiry, seed);
    return {issued.client_id, issued.access_token, issued.certificate};
  }
  wire::HawkCredentials temporary(std::string_view name, const std::vector<std::string>& scopes) {
    return temporary(name, scopes, now - minutes(1), now + minutes(20));
  }

  /// The head of a signed GET, as it arrives.
  RequestHead get(const wire::HawkCredentials& credentials, const std::vector<std::string>& authorized_scopes = {}) {
    header_ = wire::HawkSigner(credentials, authorized_scopes).header({"GET", target, "h.example", 8080}, now, "abc");
    return {"GET", target, "h.example:8080", "", "", header_, 80};
  }
  RequestHead get_with_bewit(const wire::HawkCredentials& credentials, Time expires) {
    url_ = fmt::format("{}&bewit={}", target, wire::HawkSigner(credentials).bewit(target, "h.example", 8080, expires));
    return {"GET", url_, "h.example:8080", "", "", "", 80};
  }

  Identity accepted(const RequestHead& request, Time at = now) {
    auto identity = authenticator_.authenticate(request, at);
    EXPECT_TRUE(identity) << identity.error().message();
    return identity ? identity.value() : Identity{"refused", std::make_shared<ScopeSet>(), {}, {}};
  }
  std::string refused(const RequestHead& request, Time at = now) {
    auto identity = authenticator_.authenticate(request, at);
    if (identity) return "accepted as " + identity.value().client_id;
    EXPECT_EQ(identity.error().code(), ErrorCode::not_authenticated);
    return identity.error().message();
  }

  Authenticator authenticator_{{"root", "root-secret"}, public_scopes};
  std::string header_;
  std::string url_;
};

TEST_F(AuthenticatorTest, NoCredentialsAreAnonymous) {
  auto identity = accepted({"GET", target, "", "", "", "", 80});
  EXPECT_TRUE(identity.anonymous());
  EXPECT_EQ(*identity.scopes, public_scopes);
  EXPECT_FALSE(identity.expires);
}

TEST_F(AuthenticatorTest, RootHoldsEverything) {
  auto identity = accepted(get(root));
  EXPECT_EQ(identity.client_id, "root");
  EXPECT_EQ(*identity.scopes, ScopeSet{"*"});
  EXPECT_FALSE(identity.expires);
}

TEST_F(AuthenticatorTest, WhatIsSignedMustBeWhatArrives) {
  auto request = get(root);
  auto changed = request;
  changed.target = "/api/queue/v1/task/x?limit=3";
  EXPECT_EQ(refused(changed), "the request's signature is wrong");
  changed = request;
  changed.method = "POST";
  EXPECT_EQ(refused(changed), "the request's signature is wrong");
  changed = request;
  changed.host = "other.example:8080";
  EXPECT_EQ(refused(changed), "the request's signature is wrong");
  changed.host = "h.example";
  EXPECT_EQ(refused(changed), "the request's signature is wrong");
  changed.host = "";
  EXPECT_NE(refused(changed).find("Host header"), std::string::npos);
  EXPECT_EQ(refused(get({"root", "wrong", ""})), "the request's signature is wrong");
  EXPECT_EQ(refused(get({"stranger", "root-secret", ""})), "the client is not known");
}

TEST_F(AuthenticatorTest, ErrorsHoldNoMac) {
  auto request = get({"root", "wrong", ""});
  auto error = authenticator_.authenticate(request, now).error();
  auto expected = get(root);
  auto mac = wire::parse_hawk_header(expected.authorization).value().mac;
  EXPECT_EQ((error.message() + error.hint()).find(mac), std::string::npos);
  EXPECT_NE(error.hint().find("host 'h.example' and port 8080"), std::string::npos) << error.hint();
}

TEST_F(AuthenticatorTest, PortIsTheOneTheClientSaw) {
  wire::HawkSigner signer(root);
  auto signed_for = [&](std::uint16_t port) {
    header_ = signer.header({"GET", target, "h.example", port}, now, "n");
    return std::string_view(header_);
  };
  accepted({"GET", target, "H.Example", "", "", signed_for(80), 80});
  accepted({"GET", target, "h.example", "", "", signed_for(443), 443});
  accepted({"GET", target, "h.example:8080", "", "https", signed_for(443), 80});
  accepted({"GET", target, "h.example", "8443", "https", signed_for(8443), 80});
  accepted({"GET", target, "h.example", "8443,80", "", signed_for(8443), 80});
  EXPECT_EQ(refused({"GET", target, "h.example", "x", "", signed_for(80), 80}), "X-Forwarded-Port is not a port");
}

TEST_F(AuthenticatorTest, ClocksMayDifferBy15Minutes) {
  auto request = get(root);
  accepted(request, now + minutes(15));
  accepted(request, now - minutes(15));
  EXPECT_NE(refused(request, now + minutes(15) + milliseconds(1)).find("signed 15m00s behind our clock"),
            std::string::npos);
  EXPECT_NE(refused(request, now - minutes(16)).find("signed 16m00s ahead of our clock"), std::string::npos);
}

TEST_F(AuthenticatorTest, NamedTemporaryCredentials) {
  auto credentials = temporary("task-client/x/0", {"queue:reclaim-task:x/0", "queue:get-artifact:private/*"});
  for (int round = 0; round < 2; ++round) {  // verified, then from the cache
    auto identity = accepted(get(credentials));
    EXPECT_EQ(identity.client_id, "task-client/x/0");
    EXPECT_EQ(identity.expires, now + minutes(20));
    EXPECT_EQ(*identity.scopes,
              (ScopeSet{"queue:reclaim-task:x/0", "queue:get-artifact:private/*", "queue:get-artifact:public/*"}));
  }
}

TEST_F(AuthenticatorTest, UnnamedTemporaryCredentialsGoUnderRootsId) {
  auto identity = accepted(get(temporary("", {"a"})));
  EXPECT_EQ(identity.client_id, "root");
  EXPECT_TRUE(identity.require("a"));
  EXPECT_FALSE(identity.require("b"));
}

TEST_F(AuthenticatorTest, TemporaryCredentialsAreForTheirOwnIdOnly) {
  auto credentials = temporary("task-client/x/0", {"a"});
  credentials.client_id = "task-client/y/0";
  EXPECT_EQ(refused(get(credentials)), "the certificate's signature is wrong");
  credentials.client_id = "root";
  EXPECT_EQ(refused(get(credentials)), "the certificate's issuer is the client itself");
  auto unnamed = temporary("", {"a"});
  unnamed.client_id = "someone";
  EXPECT_NE(refused(get(unnamed)).find("issued by a client that is not known"), std::string::npos);
}

TEST_F(AuthenticatorTest, ACertificateNeedsItsOwnToken) {
  auto credentials = temporary("c", {"a"});
  accepted(get(credentials));  // now the cache knows the certificate
  credentials.access_token = "root-secret";
  EXPECT_EQ(refused(get(credentials)), "the request's signature is wrong");
}

TEST_F(AuthenticatorTest, TemporaryCredentialsEndAlsoWhenCached) {
  auto request = get(temporary("c", {"a"}, now - minutes(60), now - minutes(2)));
  accepted(request, now);
  accepted(request, now + minutes(3));
  EXPECT_NE(refused(request, now + minutes(3) + milliseconds(1)).find("certificate expired"), std::string::npos);
  auto early = get(temporary("d", {"a"}, now + minutes(6), now + minutes(20)));
  EXPECT_NE(refused(early).find("not valid before"), std::string::npos);
}

TEST_F(AuthenticatorTest, AuthorizedScopesOnlyNarrow) {
  auto narrowed = accepted(get(temporary("c", {"queue:*"}), {"queue:a", "queue:b:*"}));
  EXPECT_EQ(*narrowed.scopes, (ScopeSet{"queue:a", "queue:b:*", "queue:get-artifact:public/*"}));
  EXPECT_NE(refused(get(temporary("c", {"queue:*"}), {"secrets:get"})).find("more than the credentials hold"),
            std::string::npos);
  EXPECT_NE(refused(get(temporary("c", {"queue:a"}), {"queue:*"})).find("more than the credentials hold"),
            std::string::npos);
  auto narrowed_root = accepted(get(root, {"queue:a"}));
  EXPECT_EQ(narrowed_root.client_id, "root");
  EXPECT_EQ(*narrowed_root.scopes, (ScopeSet{"queue:a", "queue:get-artifact:public/*"}));
}

TEST_F(AuthenticatorTest, AnEmptyNarrowingLeavesOnlyWhatIsPublic) {
  auto ext = base64_encode(R"({"authorizedScopes":[]})");
  wire::HawkHeader header;
  header.ts = "1700000000";
  header.nonce = "n";
  header.ext = ext;
  auto mac = wire::hawk_mac(HmacSha256Key("root-secret"), header, {"GET", target, "h.example", 8080});
  header_ = fmt::format(R"(Hawk id="root", ts="1700000000", nonce="n", ext="{}", mac="{}")", ext,
                        base64_encode(as_text(mac)));
  EXPECT_EQ(*accepted({"GET", target, "h.example:8080", "", "", header_, 80}).scopes, public_scopes);
}

TEST_F(AuthenticatorTest, BewitLetsAnyoneGet) {
  auto identity = accepted(get_with_bewit(root, now + minutes(10)));
  EXPECT_EQ(identity.client_id, "root");
  EXPECT_EQ(identity.expires, now + minutes(10));
  auto temporary_identity = accepted(get_with_bewit(temporary("c", {"a"}), now + hours(10)));
  EXPECT_EQ(temporary_identity.client_id, "c");
  EXPECT_EQ(temporary_identity.expires, now + minutes(20)) << "no longer than the certificate";
}

TEST_F(AuthenticatorTest, BewitIsForOneUrlUntilItExpires) {
  auto request = get_with_bewit(root, now + minutes(10));
  EXPECT_NE(refused(request, now + minutes(10)).find("bewit expired"), std::string::npos);
  auto post = request;
  post.method = "POST";
  EXPECT_EQ(refused(post), "a bewit is for GET only");
  auto other = url_;
  other.replace(other.find("limit=2"), 7, "limit=3");
  request.target = other;
  EXPECT_EQ(refused(request), "the request's signature is wrong");
}

TEST_F(AuthenticatorTest, HeaderAndBewitTogetherAreRefused) {
  auto request = get_with_bewit(root, now + minutes(10));
  request.authorization = get(root).authorization;
  EXPECT_EQ(refused(request), "the request has both an Authorization header and a bewit");
}

TEST_F(AuthenticatorTest, BrokenCredentialsAreNotAnonymous) {
  EXPECT_NE(refused({"GET", target, "h", "", "", "Basic abc", 80}).find("Hawk scheme"), std::string::npos);
  EXPECT_NE(refused({"GET", "/x?bewit=", "h", "", "", "", 80}).find("four parts"), std::string::npos);
  EXPECT_NE(refused({"GET", "/x?bewit=!", "h", "", "", "", 80}).find("base64url"), std::string::npos);
}

TEST_F(AuthenticatorTest, ThePayloadHashIsKeptForWhoeverReadsTheBody) {
  header_ = wire::HawkSigner(root).header({"POST", target, "h.example", 80}, now, "n",
                                          wire::hawk_payload_hash("application/json", "{}"));
  auto identity = accepted({"POST", target, "h.example", "", "", header_, 80});
  EXPECT_TRUE(check_payload_hash(identity, "application/json; charset=utf-8", "{}"));
  auto wrong = check_payload_hash(identity, "application/json", "{ }");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), ErrorCode::not_authenticated);
  EXPECT_FALSE(check_payload_hash(identity, "text/plain", "{}"));
  EXPECT_TRUE(check_payload_hash(accepted(get(root)), "text/plain", "anything")) << "no hash was signed";
}

TEST(Identity, RequireNamesWhatIsMissing) {
  Identity identity{"c", std::make_shared<ScopeSet>(ScopeSet{"a"}), {}, {}};
  EXPECT_TRUE(identity.require("a"));
  auto refusal = identity.require("queue:b");
  ASSERT_FALSE(refusal);
  EXPECT_EQ(refusal.error().code(), ErrorCode::not_authorized);
  EXPECT_EQ(refusal.error().message(), "client 'c' lacks the scopes: queue:b");
  using access::ScopeExpression;
  EXPECT_TRUE(identity.require_expression(ScopeExpression::any_of({"b", "a"})));
  EXPECT_EQ(identity.require_expression(ScopeExpression::all_of({"a", "b", "c"})).error().message(),
            "client 'c' lacks the scopes: b and c");
  Identity anonymous{"", std::make_shared<ScopeSet>(), {}, {}};
  EXPECT_EQ(anonymous.require("a").error().message(), "a request without credentials lacks the scopes: a");
}

TEST(GrantCache, IsBoundedAndKeepsWhatIsUsed) {
  GrantCache cache;
  auto grant = std::make_shared<const Grant>(Grant{"c", HmacSha256Key("k"), std::make_shared<ScopeSet>(), {}, {}});
  auto used = sha256("used");
  cache.insert(used, grant);
  for (std::size_t i = 0; i < 5 * GrantCache::generation_size_max; ++i) {
    cache.insert(sha256(std::to_string(i)), grant);
    EXPECT_TRUE(cache.find(used));
    ASSERT_LE(cache.size(), 2 * GrantCache::generation_size_max);
  }
  EXPECT_FALSE(cache.find(sha256("0")));
}

}  // namespace
}  // namespace gantry::auth
