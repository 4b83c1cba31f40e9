#include "base/base64.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace gantry {
namespace {

// RFC 4648, section 10.
TEST(Base64, KnownTexts) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (auto [bytes, text] : cases) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), bytes);
  }
}

TEST(Base64, TheTwoAlphabetsDiffer) {
  EXPECT_EQ(base64_encode("\xfb\xff\xfe?"), "+//+Pw==");
  EXPECT_EQ(base64url_encode("\xfb\xff\xfe?"), "-__-Pw");
  EXPECT_EQ(base64url_decode("-__-Pw"), "\xfb\xff\xfe?");
  EXPECT_FALSE(base64_decode("-__-Pw=="));
  EXPECT_FALSE(base64url_decode("+//+Pw"));
}

TEST(Base64, MalformedIsNothing) {
  for (auto text : {"Zg", "Zg=", "Zg===", "=", "==", "====", "Z===", "Zm9", "Zm9v=", "Zg==Zg==", "Zm 9", "Zm9\n",
                    "Zm9v\n", "Zh==", "Zm9=", "Zm\x80v"}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
  for (auto text : {"Zg==", "Z", "Zm9vY", "Zh", "Zm9", "Zm9v ", "Z+8", "Zm8="}) {
    EXPECT_FALSE(base64url_decode(text)) << text;
  }
}

RC_GTEST_PROP(Base64, DecodeUndoesEncode, (std::string bytes)) {
  RC_ASSERT(base64_decode(base64_encode(bytes)) == bytes);
  RC_ASSERT(base64url_decode(base64url_encode(bytes)) == bytes);
}

RC_GTEST_PROP(Base64, WhatDecodesIsCanonical, ()) {
  auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("ABQgwz09+/=-_")));
  if (auto bytes = base64_decode(text)) RC_ASSERT(base64_encode(*bytes) == text);
  if (auto bytes = base64url_decode(text)) RC_ASSERT(base64url_encode(*bytes) == text);
}

}  // namespace
}  // namespace gantry
