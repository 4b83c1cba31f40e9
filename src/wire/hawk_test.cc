#include "wire/hawk.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/base64.h"

namespace gantry::wire {
namespace {

const HmacSha256Key key("no-secret");
const Time signed_at = time_from_ms(1'700'000'000'000);
const HawkCredentials tester{"tester", "no-secret", ""};

// The vectors below were computed with npm hawk 9.0.2 and, but for the third, with an independent Python program.
struct Vector {
  const char* name;
  HawkTarget request;
  const char* hash;
  const char* ext;
  const char* mac;
};
const Vector vectors[] = {{"plain",
                           {"GET", "/api/queue/v1/task/AAAAAAAAQAAAAAAAAAAAAA?limit=2", "127.0.0.1", 8080},
                           "",
                           "",
                           "8P12+FepQAiCyflzN2GhKEJLd924gPCY7bNJJx92hfc="},
                          {"ext",
                           {"POST", "/api/queue/v1/claim-work/prov%2Fwt", "tc.example.com", 443},
                           "",
                           "eyJhdXRob3JpemVkU2NvcGVzIjpbInF1ZXVlOioiXX0=",
                           "E6rlcuofGrqZ7PdwCkbvhx34e6sox+ehSHJjcTcj+6k="},
                          {"payload",
                           {"POST", "/v1/task/AAAAAAAAQAAAAAAAAAAAAA/runs/0/completed", "127.0.0.1", 8080},
                           "wo5KiVJkuNRN2gALjMLXJi4FBYOnYivC+uI2oQ9bZCU=",
                           "",
                           "FaQVbgf2YyS5RV2MYu4uRv/pfpxTF7R24ZgTQcZ3iWU="}};

const HawkTarget bewit_request{"GET", "/api/queue/v1/task/AAAAAAAAQAAAAAAAAAAAAA/artifacts/private%2Fx.txt",
                               "127.0.0.1", 8080};
constexpr auto bewit_mac = "mylIrsVvI29BOeo+5LEZijBqtrNSPm8wJ28srX94bFY=";

TEST(HawkMac, Vectors) {
  for (const auto& vector : vectors) {
    HawkHeader header;
    header.ts = "1700000000";
    header.nonce = "abc123";
    header.hash = vector.hash;
    header.ext = vector.ext;
    EXPECT_EQ(base64_encode(as_text(hawk_mac(key, header, vector.request))), vector.mac) << vector.name;
  }
}

TEST(HawkMac, BewitVector) {
  Bewit bewit{"tester", "1795147351", bewit_mac, "", 1795147351};
  EXPECT_TRUE(hawk_mac_matches(hawk_mac(key, bewit, bewit_request), bewit.mac));
}

TEST(HawkMac, IgnoresTheCaseOfHostAndMethodOnly) {
  HawkHeader header;
  auto mac = hawk_mac(key, header, {"get", "/a", "Example.COM", 80});
  EXPECT_EQ(mac, hawk_mac(key, header, {"GET", "/a", "example.com", 80}));
  EXPECT_NE(mac, hawk_mac(key, header, {"GET", "/A", "example.com", 80}));
  EXPECT_NE(mac, hawk_mac(key, header, {"GET", "/a", "example.com", 8080}));
  EXPECT_NE(mac, hawk_mac(key, header, {"PUT", "/a", "example.com", 80}));
}

TEST(HawkMac, AppAndDlgAreSignedOnceTheyAreThere) {
  HawkHeader plain;
  HawkHeader with_app = plain;
  with_app.app = "app";
  HawkHeader with_dlg = with_app;
  with_dlg.dlg = "dlg";
  HawkTarget request{"GET", "/", "h", 80};
  EXPECT_NE(hawk_mac(key, plain, request), hawk_mac(key, with_app, request));
  EXPECT_NE(hawk_mac(key, with_app, request), hawk_mac(key, with_dlg, request));
}

TEST(HawkMac, MatchesOnlyItsOwnBase64) {
  auto mac = sha256("x");
  auto text = base64_encode(as_text(mac));
  EXPECT_TRUE(hawk_mac_matches(mac, text));
  EXPECT_FALSE(hawk_mac_matches(mac, text.substr(0, 43)));
  EXPECT_FALSE(hawk_mac_matches(mac, ""));
  text[0] = text[0] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(hawk_mac_matches(mac, text));
}

TEST(HawkPayloadHash, Vector) {
  EXPECT_EQ(hawk_payload_hash("application/json", R"({"success":true})"),
            "wo5KiVJkuNRN2gALjMLXJi4FBYOnYivC+uI2oQ9bZCU=");
}

TEST(HawkPayloadHash, IgnoresParametersAndCaseOfTheContentType) {
  auto expected = hawk_payload_hash("application/json", "{}");
  EXPECT_EQ(hawk_payload_hash(" Application/JSON ; charset=utf-8", "{}"), expected);
  EXPECT_NE(hawk_payload_hash("text/plain", "{}"), expected);
  EXPECT_NE(hawk_payload_hash("application/json", "{} "), expected);
  EXPECT_EQ(hawk_payload_hash(" ; x", ""), hawk_payload_hash("", ""));
}

TEST(HawkHeaderText, IsRead) {
  auto header = parse_hawk_header(
      R"(Hawk id="a/b", ts="1700000000", nonce="n", mac="m==", hash="h=", ext="e", app="A", dlg="D")");
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(header.value().id, "a/b");
  EXPECT_EQ(header.value().ts_seconds, 1'700'000'000);
  EXPECT_EQ(header.value().mac, "m==");
  EXPECT_EQ(header.value().hash, "h=");
  EXPECT_EQ(header.value().ext, "e");
  EXPECT_EQ(header.value().app, "A");
  EXPECT_EQ(header.value().dlg, "D");
}

TEST(HawkHeaderText, AllowsOtherSpacingAndOrder) {
  EXPECT_TRUE(parse_hawk_header(R"(hawk  mac="m",nonce="n" , ts="1",id="i",)"));
  EXPECT_TRUE(parse_hawk_header(R"(HAWK id="i", ts="1", nonce="n", mac="m", ext="")"));
}

TEST(HawkHeaderText, SaysWhatIsWrong) {
  const std::pair<std::string, const char*> cases[] = {
      {R"(Bearer abc)", "Hawk scheme"},
      {"", "Hawk scheme"},
      {"Hawk", "'id'"},
      {R"(Hawk id="i", ts="1", nonce="n")", "'mac'"},
      {R"(Hawk id="", ts="1", nonce="n", mac="m")", "'id'"},
      {R"(Hawk id="i", ts="x", nonce="n", mac="m")", "ts is not a number"},
      {R"(Hawk id="i", ts="-1", nonce="n", mac="m")", "ts is not a number"},
      {R"(Hawk id="i", ts="1.5", nonce="n", mac="m")", "ts is not a number"},
      {R"(Hawk id="i", ts="1234567890123", nonce="n", mac="m")", "ts is not a number"},
      {R"(Hawk id="i", id="i", ts="1", nonce="n", mac="m")", "'id' twice"},
      {R"(Hawk id="i", ts="1", nonce="n", mac="m", color="red")", "does not know"},
      {R"(Hawk id=i, ts="1", nonce="n", mac="m")", "'id' is not followed"},
      {R"(Hawk id="i" ts="1", nonce="n", mac="m")", "commas"},
      {R"(Hawk id="i\"", ts="1", nonce="n", mac="m")", "'id' does not end"},
      {R"(Hawk id="i)", "'id' does not end"},
      {"Hawk id=\"i\n\", ts=\"1\", nonce=\"n\", mac=\"m\"", "'id' does not end"},
      {"Hawk id=\"caf\xc3\xa9\", ts=\"1\", nonce=\"n\", mac=\"m\"", "'id' does not end"},
      {R"(Hawk id="i", ts="1", nonce="n", mac="m", dlg="d")", "dlg without app"},
      {"Hawk id=\"" + std::string(2000, 'i') + R"(", ts="1", nonce="n", mac="m")", "id is too long"},
      {"Hawk ext=\"" + std::string(9000, 'e') + "\"", "longer than 8192 bytes"}};
  for (const auto& [text, expected] : cases) {
    auto header = parse_hawk_header(text);
    ASSERT_FALSE(header) << text;
    EXPECT_EQ(header.error().code(), ErrorCode::not_authenticated);
    EXPECT_NE(header.error().message().find(expected), std::string::npos) << header.error().message();
  }
}

TEST(HawkSigner, WritesWhatTheVectorsSay) {
  const auto& request = vectors[0].request;
  EXPECT_EQ(HawkSigner(tester).header(request, signed_at + milliseconds(999), "abc123"),
            R"(Hawk id="tester", ts="1700000000", nonce="abc123", mac="8P12+FepQAiCyflzN2GhKEJLd924gPCY7bNJJx92hfc=")");
  auto narrowed = HawkSigner(tester, {"queue:*"}).header(vectors[1].request, signed_at, "abc123");
  EXPECT_EQ(HawkSigner(tester).narrowed({"queue:*"}).header(vectors[1].request, signed_at, "abc123"), narrowed);
  EXPECT_NE(narrowed.find(vectors[1].ext), std::string::npos);
  EXPECT_NE(narrowed.find(vectors[1].mac), std::string::npos);
  auto hashed = HawkSigner(tester).header(vectors[2].request, signed_at, "abc123",
                                          hawk_payload_hash("application/json", R"({"success":true})"));
  EXPECT_NE(hashed.find(vectors[2].mac), std::string::npos);
}

TEST(HawkSigner, BewitIsWhatTheVectorSays) {
  auto text = HawkSigner(tester).bewit(bewit_request.target, bewit_request.host, bewit_request.port,
                                       time_from_ms(1'795'147'351'000));
  auto bewit = parse_bewit(text);
  ASSERT_TRUE(bewit) << bewit.error().message();
  EXPECT_EQ(bewit.value().id, "tester");
  EXPECT_EQ(bewit.value().expires_seconds, 1'795'147'351);
  EXPECT_EQ(bewit.value().mac, bewit_mac);
  EXPECT_EQ(bewit.value().ext, "");
}

TEST(HawkSigner, PutsTheCertificateIntoExtAsItIs) {
  HawkSigner signer({"tmp", "token", R"({"version":1})"}, {"a:\"b\""});
  auto text = signer.header({"GET", "/", "h", 80}, signed_at, "n");
  auto header = parse_hawk_header(text);
  ASSERT_TRUE(header);
  EXPECT_EQ(base64_decode(header.value().ext), R"({"certificate":{"version":1},"authorizedScopes":["a:\"b\""]})");
}

TEST(TakeBewit, LeavesTheTargetThatWasSigned) {
  const std::tuple<const char*, const char*, const char*> cases[] = {{"/p?bewit=X", "/p", "X"},
                                                                     {"/p?a=1&bewit=X", "/p?a=1", "X"},
                                                                     {"/p?bewit=X&a=1", "/p?a=1", "X"},
                                                                     {"/p?a=1&bewit=X&b=2", "/p?a=1&b=2", "X"},
                                                                     {"/p?bewit=", "/p", ""}};
  for (auto [target, kept, bewit] : cases) {
    auto taken = take_bewit(target);
    ASSERT_TRUE(taken && taken.value()) << target;
    EXPECT_EQ(taken.value()->target, kept);
    EXPECT_EQ(taken.value()->bewit, bewit);
  }
  for (auto target : {"/p", "/p?a=1", "/p?notbewit=X", "/bewit=X", "/p?bewit", ""}) {
    auto taken = take_bewit(target);
    ASSERT_TRUE(taken) << target;
    EXPECT_FALSE(taken.value()) << target;
  }
  EXPECT_FALSE(take_bewit("/p?bewit=X&bewit=Y"));
}

TEST(Bewit, AcceptsPadding) {
  auto text = base64url_encode("id\\170\\mac\\");
  EXPECT_TRUE(parse_bewit(text));
  EXPECT_TRUE(parse_bewit(text + "=="));
}

TEST(Bewit, RefusesWhatIsMalformed) {
  for (const auto& text :
       {std::string(), std::string("!"), base64url_encode("a\\1\\m"), base64url_encode("a\\1\\m\\e\\x"),
        base64url_encode("\\1\\m\\e"), base64url_encode("a\\x\\m\\e"), base64url_encode("a\\\\m\\e"),
        base64url_encode("a\nb\\1\\m\\e"), base64url_encode("a\\1\\m\\e\nf"), std::string(9000, 'A')}) {
    EXPECT_FALSE(parse_bewit(text)) << text;
  }
}

TEST(HostPort, IsTakenApart) {
  EXPECT_EQ(parse_host_port("example.com")->host, "example.com");
  EXPECT_FALSE(parse_host_port("example.com")->port);
  EXPECT_EQ(parse_host_port("example.com:8080")->port, 8080);
  EXPECT_EQ(parse_host_port("[::1]:80")->host, "[::1]");
  EXPECT_EQ(parse_host_port("[::1]:80")->port, 80);
  EXPECT_EQ(parse_host_port("[::1]")->host, "[::1]");
  for (auto text : {"", ":80", "a:", "a:x", "a:65536", "a:-1", "a b", "[::1", "[::1]80", "a:80:81"}) {
    EXPECT_FALSE(parse_host_port(text)) << text;
  }
}

RC_GTEST_PROP(HawkSigner, WhatItSignsIsReadAndMatches, (std::string path, std::uint16_t port)) {
  std::string target = "/" + path;
  auto scopes =
      *rc::gen::container<std::vector<std::string>>(rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~')));
  HawkTarget request{"POST", target, "example.com", port};
  auto text = HawkSigner(tester, scopes).header(request, signed_at, "n0nce", "aGFzaA==");
  RC_PRE(text.size() <= hawk_header_bytes_max);
  auto header = parse_hawk_header(text);
  RC_ASSERT(header.has_value());
  RC_ASSERT(hawk_mac_matches(hawk_mac(key, header.value(), request), header.value().mac));
}

}  // namespace
}  // namespace gantry::wire
