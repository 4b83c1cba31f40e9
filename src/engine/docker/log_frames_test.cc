#include "engine/docker/log_frames.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace gantry::engine::docker {
namespace {

std::string frame(int stream, const std::string& payload) {
  std::string bytes{static_cast<char>(stream), 0, 0, 0};
  for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(payload.size() >> shift);
  return bytes + payload;
}

std::string merged(const std::vector<Output>& pieces) {
  std::string bytes;
  for (const auto& piece : pieces) bytes += piece.bytes;
  return bytes;
}

ErrorCode error_of_decoding(std::string bytes) {
  LogFrameDecoder decoder;
  try {
    decoder.decode(std::move(bytes));
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::internal;
}

TEST(LogFrames, StreamsAreToldApartAndKeepTheirOrder) {
  LogFrameDecoder decoder;
  auto pieces = decoder.decode(frame(1, "out ") + frame(2, "err ") + frame(1, "") + frame(1, "o") + frame(1, "ut"));
  ASSERT_EQ(pieces.size(), 3u) << "neighbours of one stream are joined";
  EXPECT_EQ(pieces[0].stream, 1);
  EXPECT_EQ(pieces[1].stream, 2);
  EXPECT_EQ(pieces[2].stream, 1);
  EXPECT_EQ(merged(pieces), "out err out");
  decoder.finish();
}

TEST(LogFrames, APieceMayEndAnywhere) {
  std::string bytes = frame(1, std::string(300, 'a')) + frame(2, "b") + frame(1, "") + frame(1, "ccc");
  for (std::size_t piece_bytes = 1; piece_bytes <= bytes.size(); ++piece_bytes) {
    LogFrameDecoder decoder;
    std::string payload;
    for (std::size_t at = 0; at < bytes.size(); at += piece_bytes)
      payload += merged(decoder.decode(bytes.substr(at, piece_bytes)));
    decoder.finish();
    EXPECT_EQ(payload, std::string(300, 'a') + "bccc") << piece_bytes;
  }
}

TEST(LogFrames, AHugeFramePassesThroughAsItComes) {
  LogFrameDecoder decoder;
  std::string start{1, 0, 0, 0, '\xff', '\xff', '\xff', '\xff'};
  EXPECT_EQ(merged(decoder.decode(start + "abc")), "abc");
  EXPECT_EQ(merged(decoder.decode("def")), "def");
  EXPECT_THROW(decoder.finish(), Error) << "4 GB were announced";
}

TEST(LogFrames, WhatIsNoFrameIsRefused) {
  EXPECT_EQ(error_of_decoding("hello, this is a terminal"), ErrorCode::corrupt);
  EXPECT_EQ(error_of_decoding(std::string("\x04\0\0\0\0\0\0\x01x", 9)), ErrorCode::corrupt);
  EXPECT_EQ(error_of_decoding(std::string("\x01\0\x01\0\0\0\0\x01x", 9)), ErrorCode::corrupt);
}

TEST(LogFrames, AnErrorOfTheEngineIsAnError) {
  LogFrameDecoder decoder;
  EXPECT_EQ(merged(decoder.decode(frame(1, "a") + frame(3, "disk on fire").substr(0, 12))), "a");
  try {
    decoder.decode("disk on fire");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_NE(error.message().find("disk"), std::string::npos);
  }
  EXPECT_EQ(error_of_decoding(frame(3, "")), ErrorCode::unavailable);
  EXPECT_EQ(error_of_decoding(frame(3, std::string(100'000, 'x'))), ErrorCode::unavailable);
}

TEST(LogFrames, AStreamMustNotEndInsideAFrame) {
  LogFrameDecoder decoder;
  decoder.decode(frame(1, "abc").substr(0, 5));
  EXPECT_THROW(decoder.finish(), Error);
}

}  // namespace
}  // namespace gantry::engine::docker
