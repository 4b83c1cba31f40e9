#include "net/message_parser.h"

#include <gtest/gtest.h>

namespace gantry::net {
namespace {

struct Read {
  ParseState state = ParseState::need_more;
  std::string body;
  std::string rest;  // behind the message
};

/// Feeds `bytes` as if `step` of them came at a time.
template <bool is_request>
Read read_message(MessageParser<is_request>& parser, std::string_view bytes, std::size_t step) {
  Read read;
  std::string held;
  bool in_header = true;
  while (true) {
    std::size_t size = std::min(step, bytes.size());
    held += bytes.substr(0, size);
    bytes.remove_prefix(size);
    Parsed parsed = in_header ? parser.feed_header(held) : parser.feed_body(held, read.body);
    held.erase(0, parsed.used);
    read.state = parsed.state;
    if (parsed.state == ParseState::done && in_header) {
      in_header = false;
      parsed = parser.feed_body(held, read.body);
      held.erase(0, parsed.used);
      read.state = parsed.state;
    }
    if (read.state != ParseState::need_more || bytes.empty()) break;
  }
  read.rest = held + std::string(bytes);
  return read;
}

TEST(MessageParser, SplitsDoNotMatter) {
  std::string text =
      "\r\nPUT /a?b=%20c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n"
      "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: t\r\n\r\nGET";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    RequestParser parser(1000);
    Read read = read_message(parser, text, step);
    EXPECT_EQ(read.state, ParseState::done) << step << parser.reason();
    EXPECT_EQ(read.body, "hello world") << step;
    EXPECT_EQ(read.rest, "GET") << step;
    EXPECT_EQ(parser.target, "/a?b=%20c");
    EXPECT_EQ(parser.content_length(), -1);
    EXPECT_EQ(parser.headers.entries().size(), 3u) << "a trailer is no header";
  }
}

TEST(MessageParser, RefusesRequests) {
  for (std::string text : {
           "GET / HTTP/1.1\r\n\r\n",                                                                 // no host
           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",                                           // two hosts
           "GET / HTTP/2.0\r\nHost: a\r\n\r\n",                                                      // version
           "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",                                                     // two spaces
           "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",                                                  // control
           "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",                                                      // method
           "GET / HTTP/1.1\r\nHost : a\r\n\r\n",                                                     // space and colon
           "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",                                                // bare newline
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",         // two lengths
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",                               // negative
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n",              // > 2^63 - 1
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",  // both
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",  // both
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",                 // coding
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",                      // coding
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",                      // coding
           "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",                       // version
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",                // chunk size
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",   // chunk end
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",  // overflow
       }) {
    for (std::size_t step : {std::size_t{1}, text.size()}) {
      RequestParser parser(1000);
      Read read = read_message(parser, text, step);
      EXPECT_EQ(read.state, ParseState::bad) << text;
      EXPECT_FALSE(parser.reason().empty());
      EXPECT_EQ(parser.reason().find('"'), std::string_view::npos) << "goes into JSON as it is";
    }
  }
}

TEST(MessageParser, LimitsTheHeader) {
  for (std::size_t step : {std::size_t{1}, std::size_t{64}, std::size_t{4000}}) {
    RequestParser parser(1000);
    Read read = read_message(parser, "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x') + "\r\n\r\n", step);
    EXPECT_EQ(read.state, ParseState::too_large) << step;
    RequestParser long_target(1000);
    read = read_message(long_target, "GET /" + std::string(2000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", step);
    EXPECT_EQ(read.state, ParseState::too_large) << step;
  }
}

TEST(MessageParser, KnowsWhatARequestAsks) {
  RequestParser parser(1000);
  read_message(parser, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nab", 1000);
  EXPECT_EQ(parser.content_length(), 5);
  EXPECT_EQ(parser.body_bytes_left(), 3);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_TRUE(parser.keep_alive());
  EXPECT_EQ(parser.feed_end(), ParseState::bad);

  RequestParser old(1000);
  read_message(old, "GET / HTTP/1.0\r\n\r\n", 1000);
  EXPECT_FALSE(old.keep_alive());
  EXPECT_EQ(old.content_length(), 0);
}

TEST(MessageParser, ReadsResponses) {
  struct Case {
    std::string text;
    bool head;
    std::string body;
    bool ends_with_connection;
  };
  for (const auto& [text, head, body, ends] : std::vector<Case>{
           {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", false, "ab", false},
           {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false, "", false},
           {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true, "", false},
           {"HTTP/1.1 204 No Content\r\n\r\n", false, "", false},
           {"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", false, "", false},
           {"HTTP/1.0 200 OK\r\n\r\nall of it", false, "all of it", true},
       }) {
    ResponseParser parser(1000);
    if (head) parser.expect_no_body();
    Read read = read_message(parser, text, 3);
    EXPECT_EQ(read.body, body) << text;
    EXPECT_EQ(read.state, ends ? ParseState::need_more : ParseState::done) << text << parser.reason();
    if (ends) {
      EXPECT_EQ(parser.feed_end(), ParseState::done);
      EXPECT_FALSE(parser.keep_alive());
    }
  }
}

}  // namespace
}  // namespace gantry::net
