#include "server/api/byte_range.h"

#include <gtest/gtest.h>

namespace gantry::server {
namespace {

constexpr std::int64_t size = 10;

bool is_whole(std::string_view header) {
  ByteRange range = read_byte_range(header, size);
  return !range.partial && range.satisfiable && range.from == 0 && range.bytes == -1;
}
bool is_part(std::string_view header, std::int64_t from, std::int64_t bytes) {
  ByteRange range = read_byte_range(header, size);
  return range.partial && range.satisfiable && range.from == from && range.bytes == bytes;
}
bool is_nothing(std::string_view header, std::int64_t of_size = size) {
  return !read_byte_range(header, of_size).satisfiable;
}

TEST(ByteRange, IsFromTo) {
  EXPECT_TRUE(is_part("bytes=0-0", 0, 1));
  EXPECT_TRUE(is_part("bytes=2-4", 2, 3));
  EXPECT_TRUE(is_part("bytes=2-", 2, 8));
  EXPECT_TRUE(is_part("bytes=2-99", 2, 8));
}

TEST(ByteRange, IsASuffix) {
  EXPECT_TRUE(is_part("bytes=-3", 7, 3));
  EXPECT_TRUE(is_part("bytes=-99", 0, 10));
}

TEST(ByteRange, BehindTheEndIsNotSatisfiable) {
  EXPECT_TRUE(is_nothing("bytes=10-"));
  EXPECT_TRUE(is_nothing("bytes=10-12"));
  EXPECT_TRUE(is_nothing("bytes=-0"));
  EXPECT_TRUE(is_nothing("bytes=0-", 0));
  EXPECT_TRUE(is_nothing("bytes=-5", 0));
}

TEST(ByteRange, WhatIsNoneIsAnsweredWhole) {
  for (const char* header : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1-2,4-5", "lines=1-2", "bytes=1-2x",
                             "bytes= 1-2", "bytes=9223372036854775808-"}) {
    EXPECT_TRUE(is_whole(header)) << header;
  }
}

// RFC 9110 14.1.1: an end before its beginning makes it no range.
TEST(ByteRange, ThatRunsBackwardsIsAnsweredWhole) {
  EXPECT_TRUE(is_whole("bytes=5-3"));
  EXPECT_TRUE(is_whole("bytes=1--0"));
  EXPECT_TRUE(is_whole("bytes=--5"));
}

}  // namespace
}  // namespace gantry::server
