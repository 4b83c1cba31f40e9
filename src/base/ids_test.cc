#include "base/ids.h"

#include <set>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/env.h"

namespace gantry {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

Bytes make_v4(Bytes bytes) {
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3F) | 0x80);
  return bytes;
}

TEST(SlugId, KnownText) {
  auto id = TaskId::parse("AAAAAAAAQACAAAAAAAAAAA");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->bytes(), make_v4({}));
  EXPECT_EQ(id->to_string(), "AAAAAAAAQACAAAAAAAAAAA");
}

TEST(SlugId, UsesTheUrlSafeAlphabet) {
  Bytes bytes;
  bytes.fill(0xFF);
  auto id = TaskId::from_bytes(make_v4(bytes));
  EXPECT_EQ(id.to_string(),
            "________T_-_________"
            "_w");
  EXPECT_EQ(TaskId::parse(id.to_string()), id);
}

RC_GTEST_PROP(SlugId, TextAndBytesAreOneToOne, ()) {
  auto id = TaskId::from_bytes(make_v4(*rc::gen::arbitrary<Bytes>()));
  RC_ASSERT(TaskId::parse(id.to_string()) == id);
  std::string appended = "x";
  id.append_to(appended);
  RC_ASSERT(appended == "x" + id.to_string());
}

RC_GTEST_PROP(SlugId, WhatParsesIsWrittenBackTheSame, ()) {
  std::string text = TaskId::from_bytes(make_v4(*rc::gen::arbitrary<Bytes>())).to_string();
  text[*rc::gen::inRange(0, 22)] = *rc::gen::character<char>();
  if (auto id = TaskId::parse(text)) RC_ASSERT(id->to_string() == text);
}

TEST(SlugId, RefusesWhatIsNotAVersion4Uuid) {
  for (auto text :
       {"", "AAAAAAAAQACAAAAAAAAAA", "AAAAAAAAQACAAAAAAAAAAAA", "AAAAAAAAAACAAAAAAAAAAA", "AAAAAAAAUACAAAAAAAAAAA",
        "AAAAAAAAQAAAAAAAAAAAAA", "AAAAAAAAQADAAAAAAAAAAB", "AAAAAAAAQACAAAAAAAAAA=", "AAAAAAAAQACAAAAAAAAAA/",
        "AAAAAAAA+ACAAAAAAAAAAA", "AAAAAAAAQACAAAAAAAAAAB"}) {
    EXPECT_FALSE(TaskId::parse(text)) << text;
  }
}

TEST(SlugId, RandomOnesAreValidNiceAndDifferent) {
  asio::io_context io;
  SystemEnv env(io, 1);
  std::set<TaskId> seen;
  for (int i = 0; i < 1000; ++i) {
    auto id = TaskId::random(env);
    auto text = id.to_string();
    EXPECT_EQ(TaskId::parse(text), id) << text;
    EXPECT_TRUE((text[0] >= 'A' && text[0] <= 'Z') || (text[0] >= 'a' && text[0] <= 'f')) << text;
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(SlugId, EmptyIsNoId) {
  EXPECT_TRUE(TaskId().empty());
  EXPECT_FALSE(TaskId::from_bytes(make_v4({})).empty());
  EXPECT_FALSE(TaskId::parse(TaskId().to_string())) << "no id has a text that parses";
}

}  // namespace
}  // namespace gantry
