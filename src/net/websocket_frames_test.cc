#include "net/websocket_frames.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace gantry::net {
namespace {

using Kind = WebSocketMessage::Kind;
constexpr std::array<std::uint8_t, 4> mask{0x37, 0xfa, 0x21, 0x3d};

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (int value : values) out += static_cast<char>(value);
  return out;
}

/// What a client reads of `input`, whole and byte by byte.
std::vector<WebSocketMessage> read_all_of(std::string_view input, std::size_t bytes_max = 1000) {
  std::vector<WebSocketMessage> at_once;
  FrameReader reader(WebSocketSide::client, bytes_max);
  reader.feed(input);
  while (auto message = reader.next()) at_once.push_back(*message);
  EXPECT_FALSE(reader.fault()) << reader.fault()->reason;
  std::size_t count = 0;
  FrameReader slow(WebSocketSide::client, bytes_max);
  for (char c : input) {
    slow.feed({&c, 1});
    while (auto message = slow.next()) EXPECT_EQ(message->bytes, at_once.at(count++).bytes);
  }
  EXPECT_EQ(count, at_once.size());
  return at_once;
}

int fault_of(std::string_view input, WebSocketSide side = WebSocketSide::client) {
  FrameReader reader(side, 1000);
  reader.feed(input);
  while (reader.next()) {
  }
  return reader.fault() ? reader.fault()->close_code : 0;
}

TEST(WebSocketFrames, TheExamplesOfTheRfc) {
  auto hello = read_all_of(bytes({0x81, 0x05}) + "Hello");
  ASSERT_EQ(hello.size(), 1u);
  EXPECT_EQ(hello[0].kind, Kind::text);
  EXPECT_EQ(hello[0].bytes, "Hello");
  FrameReader server(WebSocketSide::server, 1000);
  server.feed(bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));
  EXPECT_EQ(server.next().value().bytes, "Hello");
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketFrames, FragmentsAreOneMessageWithAPingBetweenThem) {
  auto messages =
      read_all_of(bytes({0x02, 2}) + "ab" + bytes({0x89, 1}) + "p" + bytes({0x00, 0}) + bytes({0x80, 1}) + "c");
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].kind, Kind::ping);
  EXPECT_EQ(messages[1].kind, Kind::binary);
  EXPECT_EQ(messages[1].bytes, "abc");
}

TEST(WebSocketFrames, WhatIsEncodedIsReadBack) {
  for (std::size_t size : {0, 1, 125, 126, 65535, 65536, 200'000}) {
    std::string payload(size, '\x7e');
    for (bool masked : {false, true}) {
      FrameReader reader(masked ? WebSocketSide::server : WebSocketSide::client, 200'000);
      reader.feed(encode_frame({Kind::binary, payload}, masked ? std::optional(mask) : std::nullopt));
      auto message = reader.next();
      ASSERT_TRUE(message) << size;
      EXPECT_EQ(message->bytes, payload);
      EXPECT_FALSE(reader.next());
    }
  }
  FrameReader reader(WebSocketSide::client, 10);
  reader.feed(encode_frame({Kind::close, "enough", close_going_away}, std::nullopt));
  auto close = reader.next();
  ASSERT_TRUE(close);
  EXPECT_EQ(close->close_code, close_going_away);
  EXPECT_EQ(close->bytes, "enough");
}

TEST(WebSocketFrames, WhatTheRfcForbidsIsAFault) {
  EXPECT_EQ(fault_of(bytes({0xc1, 0})), close_protocol_error) << "a reserved bit";
  EXPECT_EQ(fault_of(bytes({0x83, 0})), close_protocol_error) << "a reserved opcode";
  EXPECT_EQ(fault_of(bytes({0x09, 0})), close_protocol_error) << "a ping in fragments";
  EXPECT_EQ(fault_of(bytes({0x89, 126, 0, 126})), close_protocol_error) << "a long ping";
  EXPECT_EQ(fault_of(bytes({0x80, 0})), close_protocol_error) << "a fragment of nothing";
  EXPECT_EQ(fault_of(bytes({0x02, 0, 0x82, 0})), close_protocol_error) << "a message in a message";
  EXPECT_EQ(fault_of(bytes({0x82, 126, 0, 5})), close_protocol_error) << "a length that is too long";
  EXPECT_EQ(fault_of(bytes({0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff})), close_protocol_error);
  EXPECT_EQ(fault_of(bytes({0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0})), close_protocol_error);
  EXPECT_EQ(fault_of(bytes({0x82, 0x81, 1, 2, 3, 4, 5})), close_protocol_error) << "a server that masks";
  EXPECT_EQ(fault_of(bytes({0x82, 1, 5}), WebSocketSide::server), close_protocol_error) << "a client that does not";
  EXPECT_EQ(fault_of(bytes({0x88, 1, 3})), close_protocol_error) << "half a close code";
  EXPECT_EQ(fault_of(bytes({0x88, 2, 0x03, 0xed})), close_protocol_error) << "1005 on the wire";
  EXPECT_EQ(fault_of(bytes({0x81, 1, 0xff})), close_bad_text);
  EXPECT_EQ(fault_of(bytes({0x88, 3, 0x03, 0xe8, 0xff})), close_bad_text);
  EXPECT_EQ(fault_of(bytes({0x82, 126, 0x03, 0xe9})), close_too_large);
  EXPECT_EQ(fault_of(bytes({0x82, 126, 0x03, 0xe8})), 0) << "as large as it may be";
  std::string fragments = bytes({0x02, 126, 0x03, 0xe8}) + std::string(1000, 'x') + bytes({0x80, 1});
  EXPECT_EQ(fault_of(fragments), close_too_large) << "together they are too large";
}

TEST(WebSocketFrames, Utf8) {
  EXPECT_TRUE(is_utf8("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"));
  for (std::string_view bad :
       {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "\xc3"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

}  // namespace
}  // namespace gantry::net
