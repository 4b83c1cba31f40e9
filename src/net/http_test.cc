#include "net/http.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "net/http_client.h"
#include "net/response_head.h"
#include "net/text.h"

namespace gantry::net {
namespace {

TEST(Headers, AreFoundWithoutCase) {
  Headers headers;
  headers.add("Content-Type", "a");
  headers.add("content-type", "b");
  EXPECT_EQ(headers.get("CONTENT-TYPE"), "a");
  EXPECT_EQ(headers.count("Content-type"), 2u);
  headers.set("CONTENT-type", "c");
  EXPECT_EQ(headers.count("content-type"), 1u);
  EXPECT_EQ(headers.get("content-type"), "c");
  EXPECT_FALSE(headers.has("content-typ"));
}

TEST(Status, BecomesAnErrorCode) {
  EXPECT_EQ(error_code_of_status(302), ErrorCode::internal);
  EXPECT_EQ(error_code_of_status(400), ErrorCode::invalid_input);
  EXPECT_EQ(error_code_of_status(401), ErrorCode::not_authenticated);
  EXPECT_EQ(error_code_of_status(403), ErrorCode::not_authorized);
  EXPECT_EQ(error_code_of_status(404), ErrorCode::not_found);
  EXPECT_EQ(error_code_of_status(405), ErrorCode::invalid_input);
  EXPECT_EQ(error_code_of_status(409), ErrorCode::conflict);
  EXPECT_EQ(error_code_of_status(410), ErrorCode::expired);
  EXPECT_EQ(error_code_of_status(413), ErrorCode::too_large);
  EXPECT_EQ(error_code_of_status(424), ErrorCode::not_found);
  for (int status : {408, 429, 500, 502, 503, 504}) EXPECT_EQ(error_code_of_status(status), ErrorCode::unavailable);
}

TEST(Method, NamesRoundTrip) {
  for (auto method :
       {Method::get, Method::head, Method::post, Method::put, Method::delete_, Method::options, Method::patch}) {
    EXPECT_EQ(parse_method(method_name(method)), method);
  }
  EXPECT_EQ(parse_method("get"), Method::other);  // methods have a case
}

TEST(Percent, Decodes) {
  EXPECT_EQ(percent_decode("a%2Fb%20c+d"), "a/b c+d");
  EXPECT_EQ(percent_decode("%"), std::nullopt);
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_decode("%4g"), std::nullopt);
}

RC_GTEST_PROP(Percent, RoundTrips, (const std::string& text)) {
  RC_ASSERT(percent_decode(percent_encode(text)) == text);
}

TEST(Query, IsDecodedInOrder) {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(parse_query("b=1&a=x+y%26&&c&=d"), (Pairs{{"b", "1"}, {"a", "x y&"}, {"c", ""}, {"", "d"}}));
  EXPECT_EQ(parse_query(""), Pairs());
  EXPECT_EQ(parse_query("a=%zz"), std::nullopt);
}

TEST(Text, ListHasToken) {
  EXPECT_TRUE(list_has_token("keep-alive, Close ", "close"));
  EXPECT_FALSE(list_has_token("not-close", "close"));
  EXPECT_FALSE(list_has_token("", "close"));
}

TEST(ResponseHead, CannotBeSplitByAValue) {
  Response response;
  response.headers.add("X-Note", "a\r\nX-Evil: 1");
  response.headers.add("Content-Length", "999");
  response.body = "four";
  std::string out;
  append_response_head(out, response, plan_response(response, Method::get, true, true), "now");
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nDate: now\r\nX-Note: a  X-Evil: 1\r\nContent-Length: 4\r\n\r\n");
}

TEST(ResponseHead, HasNoLengthWithoutABody) {
  Response response;
  response.status = 204;
  std::string out;
  append_response_head(out, response, plan_response(response, Method::get, true, true), "now");
  EXPECT_EQ(out, "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n");
}

TEST(ResponseHead, Date) {
  EXPECT_EQ(http_date(*parse_time("2026-11-20T06:41:03.999Z")), "Fri, 20 Nov 2026 06:41:03 GMT");
  EXPECT_EQ(http_date(time_from_ms(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST(Endpoint, Parses) {
  auto tcp = value_or_throw(parse_endpoint("http://build.example:8080/"));
  EXPECT_EQ(tcp.host, "build.example");
  EXPECT_EQ(tcp.port, 8080);
  EXPECT_EQ(tcp.host_header(), "build.example:8080");
  EXPECT_EQ(tcp.to_string(), "http://build.example:8080");
  EXPECT_EQ(value_or_throw(parse_endpoint("HTTP://a")).host_header(), "a");

  auto six = value_or_throw(parse_endpoint("http://[::1]:80"));
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.host_header(), "[::1]");
  EXPECT_EQ(six.to_string(), "http://[::1]:80");

  auto local = value_or_throw(parse_endpoint("unix:///var/run/docker.sock"));
  EXPECT_EQ(local.kind, Endpoint::Kind::unix_socket);
  EXPECT_EQ(local.path, "/var/run/docker.sock");
  EXPECT_EQ(local.to_string(), "unix:///var/run/docker.sock");
  EXPECT_EQ(value_or_throw(parse_endpoint("tcp://h:2375")).port, 2375);
}

TEST(Endpoint, RefusesWhatItIsNot) {
  for (auto url : {"",
                   "localhost:80",
                   "ftp://a",
                   "http://",
                   "http://:80",
                   "http://a:0",
                   "http://a:65536",
                   "http://a:",
                   "http://a:8x",
                   "http://a/b",
                   "http://u@a",
                   "http://a b",
                   "http://[::1",
                   "http://[::1]x",
                   "http://[]:80",
                   "unix://relative",
                   "http://a?b",
                   "http://[[a]",
                   "http://a[b",
                   "http://a]"}) {
    auto endpoint = parse_endpoint(url);
    ASSERT_FALSE(endpoint) << url;
    EXPECT_EQ(endpoint.error().code(), ErrorCode::invalid_input) << url;
    EXPECT_FALSE(endpoint.error().hint().empty()) << url;
  }
  EXPECT_EQ(parse_endpoint("https://a").value().to_string(), "https://a:443");
  EXPECT_EQ(parse_endpoint("https://a").value().host_header(), "a");
  EXPECT_EQ(parse_endpoint("https://[::1]:8443/").value().host_header(), "[::1]:8443");
}

}  // namespace
}  // namespace gantry::net
