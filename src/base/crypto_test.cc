#include "base/crypto.h"

#include <thread>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace gantry {
namespace {

TEST(Sha256, KnownDigests) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

RC_GTEST_PROP(Sha256, PiecesAreTheSameAsTheWhole, (std::string a, std::string b)) {
  Sha256 hash;
  hash.update(a);
  hash.update(b);
  RC_ASSERT(hash.finish() == sha256(a + b));
  RC_ASSERT(sha256({a, b}) == sha256(a + b));
}

// RFC 4231, test cases 1, 2, 6 (a key longer than a block) and 7.
TEST(HmacSha256, Rfc4231) {
  EXPECT_EQ(hex(HmacSha256Key(std::string(20, '\x0b')).mac("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(HmacSha256Key("Jefe").mac("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  HmacSha256Key longer(std::string(131, '\xaa'));
  EXPECT_EQ(hex(longer.mac("Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(
      hex(longer.mac("This is a test using a larger than block-size key and a larger than block-size data. The key "
                     "needs to be hashed before being used by the HMAC algorithm.")),
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST(HmacSha256, EmptyKeyAndMessage) {
  EXPECT_EQ(hex(HmacSha256Key("").mac("")), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

RC_GTEST_PROP(HmacSha256, PartsAreTheSameAsTheWhole, (std::string key, std::string a, std::string b)) {
  HmacSha256Key prepared(key);
  RC_ASSERT(prepared.mac({a, b}) == prepared.mac(a + b));
}

TEST(HmacSha256, OneKeyServesManyThreadsAndOutlivesItsOriginal) {
  auto original = std::make_unique<HmacSha256Key>("secret");
  auto expected = original->mac("message");
  HmacSha256Key copy = *original;
  original.reset();
  std::vector<int> wrong(4);
  {
    std::vector<std::jthread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&copy, &count, &expected] {
        for (int i = 0; i < 1000; ++i) count += copy.mac("message") != expected;
      });
    }
  }
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(ConstantTimeEqual, ComparesContents) {
  EXPECT_TRUE(constant_time_equal("", ""));
  EXPECT_TRUE(constant_time_equal("abc", "abc"));
  EXPECT_FALSE(constant_time_equal("abc", "abd"));
  EXPECT_FALSE(constant_time_equal("abc", "ab"));
  EXPECT_FALSE(constant_time_equal(std::string_view("\0a", 2), std::string_view("\0b", 2)));
}

TEST(Hex, IsLowerCaseAndKeepsLeadingZeros) { EXPECT_EQ(hex(std::string_view("\x00\x0f\xff", 3)), "000fff"); }

}  // namespace
}  // namespace gantry
