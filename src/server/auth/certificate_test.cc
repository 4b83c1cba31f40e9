#include "server/auth/certificate.h"

#include <boost/asio/io_context.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/base64.h"
#include "base/env.h"
#include "base/ids.h"
#include "base/json.h"
#include "core/access/scopes.h"

namespace gantry::auth {
namespace {

// The vector was computed with the issuing library of Taskcluster's client and an independent Python program.
const Issuer issuer{"issuer", HmacSha256Key("secret")};
constexpr std::string_view seed = "3VLsKAddT-ib5FqFGgPZWwhpvI_0H8SpqK3HTsojHkpA";
const Time start = time_from_ms(1'795'147'129'922);
const Time expiry = time_from_ms(1'795'150'729'922);
const std::vector<std::string> scopes{"a:*", "b"};

Certificate read(std::string_view certificate) {
  auto ext = parse_ext(base64_encode("{\"certificate\":" + std::string(certificate) + "}"));
  EXPECT_TRUE(ext) << ext.error().message();
  return *ext.value().certificate;
}

Certificate vector_certificate() { return read(issue(issuer, "tmp/client", scopes, start, expiry, seed).certificate); }

TEST(Issue, NamedVector) {
  auto credentials = issue(issuer, "tmp/client", scopes, start, expiry, seed);
  EXPECT_EQ(credentials.client_id, "tmp/client");
  EXPECT_EQ(credentials.access_token, "DJ9R2DbXhqM6UCllLT1OdfqLKiyayk6Lxs8moUljh5Y");
  EXPECT_EQ(credentials.certificate,
            R"({"version":1,"scopes":["a:*","b"],"start":1795147129922,"expiry":1795150729922,)"
            R"("seed":"3VLsKAddT-ib5FqFGgPZWwhpvI_0H8SpqK3HTsojHkpA",)"
            R"("signature":"2tZ7HxXBlCFC+JY+zKdQAHxLfjLvNBl7RelWpH+D+HE=","issuer":"issuer"})");
}

TEST(Issue, UnnamedGoesUnderTheIssuersId) {
  auto credentials = issue(issuer, "", scopes, start, expiry, seed);
  EXPECT_EQ(credentials.client_id, "issuer");
  auto certificate = read(credentials.certificate);
  EXPECT_EQ(certificate.issuer, "");
  std::string with_null = credentials.certificate;
  EXPECT_TRUE(verify_certificate(read(with_null.insert(1, "\"issuer\":null,")), "issuer", issuer))
      << "as browsers write it";
  EXPECT_TRUE(verify_certificate(certificate, "issuer", issuer));
  EXPECT_NE(certificate.signature, vector_certificate().signature);
}

RC_GTEST_PROP(Issue, WhatIsIssuedVerifies, ()) {
  auto held = *rc::gen::container<std::vector<std::string>>(
      rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '\x7f')));
  auto name = *rc::gen::element<std::string>("", "a/b", "quote\"back\\slash");
  auto credentials = issue(issuer, name, held, start, expiry, seed);
  auto certificate = read(credentials.certificate);
  RC_ASSERT(certificate.scopes == held);
  RC_ASSERT(certificate.start == start && certificate.expiry == expiry && certificate.seed == seed);
  RC_ASSERT(verify_certificate(certificate, credentials.client_id, issuer).has_value());
}

TEST(RandomCertificateSeed, IsTwoSlugids) {
  asio::io_context io;
  SystemEnv env(io, 1);
  auto fresh = random_certificate_seed(env);
  ASSERT_EQ(fresh.size(), certificate_seed_bytes);
  EXPECT_TRUE(TaskId::parse(fresh.substr(0, 22)) && TaskId::parse(fresh.substr(22))) << fresh;
  EXPECT_NE(fresh.substr(0, 22), fresh.substr(22));
  EXPECT_NE(fresh, random_certificate_seed(env));
}

TEST(VerifyCertificate, AcceptsTheVector) {
  EXPECT_TRUE(verify_certificate(vector_certificate(), "tmp/client", issuer));
}

TEST(VerifyCertificate, EverySignedPartCounts) {
  auto refuses = [](auto change) {
    auto certificate = vector_certificate();
    change(certificate);
    return !verify_certificate(certificate, "tmp/client", issuer);
  };
  EXPECT_TRUE(refuses([](Certificate& c) { c.scopes.push_back("c"); }));
  EXPECT_TRUE(refuses([](Certificate& c) { c.scopes = {"b", "a:*"}; }));
  EXPECT_TRUE(refuses([](Certificate& c) { c.start -= milliseconds(1); }));
  EXPECT_TRUE(refuses([](Certificate& c) { c.expiry += milliseconds(1); }));
  EXPECT_TRUE(refuses([](Certificate& c) { c.seed[0] = 'x'; }));
  EXPECT_TRUE(refuses([](Certificate& c) { c.issuer.clear(); }));
  EXPECT_TRUE(refuses([](Certificate& c) { c.issuer = "other"; }));
  EXPECT_TRUE(refuses([](Certificate& c) { c.signature = base64_encode(std::string(32, 'x')); }));
  EXPECT_FALSE(verify_certificate(vector_certificate(), "tmp/other", issuer));
  EXPECT_FALSE(verify_certificate(vector_certificate(), "tmp/client", Issuer{"issuer", HmacSha256Key("other")}));
}

TEST(VerifyCertificate, RefusesMoreThan31Days) {
  auto refused = vector_certificate();
  refused.expiry = refused.start + certificate_life_max + milliseconds(1);
  auto result = verify_certificate(refused, "tmp/client", issuer);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "the certificate is for longer than 31 days");
  auto longest = read(issue(issuer, "n", scopes, start, start + certificate_life_max, seed).certificate);
  EXPECT_TRUE(verify_certificate(longest, "n", issuer));
}

TEST(VerifyCertificate, AnIssuerThatIsTheClientIsRefused) {
  auto certificate = vector_certificate();
  EXPECT_FALSE(verify_certificate(certificate, "issuer", issuer));
}

TEST(CertificateTime, AllowsFiveMinutesEitherWay) {
  EXPECT_TRUE(check_certificate_time(start, expiry, start - minutes(5)));
  EXPECT_FALSE(check_certificate_time(start, expiry, start - minutes(5) - milliseconds(1)));
  EXPECT_TRUE(check_certificate_time(start, expiry, expiry + minutes(5)));
  auto late = check_certificate_time(start, expiry, expiry + minutes(5) + milliseconds(1));
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().message().find("expired at " + format_time(expiry)), std::string::npos);
}

TEST(ParseExt, ReadsAuthorizedScopes) {
  auto ext = parse_ext("eyJhdXRob3JpemVkU2NvcGVzIjpbInF1ZXVlOioiXX0=");
  ASSERT_TRUE(ext);
  EXPECT_FALSE(ext.value().certificate);
  EXPECT_EQ(ext.value().authorized_scopes, std::vector<std::string>{"queue:*"});
  auto empty = parse_ext(base64_encode("{}"));
  ASSERT_TRUE(empty);
  EXPECT_FALSE(empty.value().authorized_scopes);
}

TEST(ParseExt, SaysWhatIsWrong) {
  auto with = [](std::string_view key, std::string_view value) {
    auto text = issue(issuer, "n", scopes, start, expiry, seed).certificate;
    auto document = parse_json(text).value();
    document.as_object()[key] = parse_json(value).value();
    return "{\"certificate\":" + json::serialize(document) + "}";
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "not base64 of JSON"},
      {"{", "not base64 of JSON"},
      {"{} x", "not base64 of JSON"},
      {"[]", "not a JSON object"},
      {R"({"authorizedScopes":"a"})", "authorizedScopes is not a list"},
      {R"({"authorizedScopes":["a",1]})", "element that is not a scope"},
      {R"({"authorizedScopes":["a\nb"]})", "element that is not a scope"},
      {R"({"certificate":"{}"})", "not a JSON object"},
      {R"({"certificate":{}})", "version is not 1"},
      {with("version", "2"), "version is not 1"},
      {with("version", "1.0"), "version is not 1"},
      {with("start", "null"), "start is not a whole number"},
      {with("start", "\"1\""), "start is not a whole number"},
      {with("expiry", "1.5"), "expiry is not a whole number"},
      {with("expiry", "-1"), "expiry is not a time"},
      {with("expiry", "9223372036854775807"), "expiry is not a time"},
      {with("scopes", "{}"), "scopes is not a list"},
      {with("scopes", R"(["a\nb"])"), "element that is not a scope"},
      {with("seed", "\"short\""), "seed is not 44 bytes"},
      {with("seed", "1"), "seed is not printable text"},
      {with("issuer", "\"\""), "issuer is not printable text"},
      {with("issuer", R"("a\nseed:b")"), "issuer is not printable text"},
      {with("signature", "null"), "signature is not printable text"}};
  for (const auto& [text, expected] : cases) {
    auto ext = parse_ext(base64_encode(text));
    ASSERT_FALSE(ext) << text;
    EXPECT_EQ(ext.error().code(), ErrorCode::not_authenticated);
    EXPECT_NE(ext.error().message().find(expected), std::string::npos) << ext.error().message();
  }
  EXPECT_EQ(parse_ext("e30").error().message(), "ext is not base64");
}

}  // namespace
}  // namespace gantry::auth
