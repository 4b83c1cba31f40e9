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

std::string from_hex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

template <class Array>
Array array_of(std::string_view text) {
  std::string bytes = from_hex(text);
  Array array{};
  std::copy(bytes.begin(), bytes.end(), array.begin());
  return array;
}

// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13, 14 and 16.
TEST(AesGcm, KnownTexts) {
  EXPECT_EQ(hex(aes_gcm_seal({}, {}, "", "")), "530f8afbc74536b9a963b4f1c4cb738b");
  EXPECT_EQ(hex(aes_gcm_seal({}, {}, std::string(16, '\0'), "")),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
  auto key = array_of<AesKey>("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  auto nonce = array_of<GcmNonce>("cafebabefacedbaddecaf888");
  std::string associated = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  std::string plain = from_hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
      "ba637b39");
  std::string sealed = aes_gcm_seal(key, nonce, plain, associated);
  EXPECT_EQ(
      hex(sealed),
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba"
      "7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
  EXPECT_EQ(aes_gcm_open(key, nonce, sealed, associated), plain);
}

RC_GTEST_PROP(AesGcm, OpensOnlyWhatWasSealed, (const std::string& plain, const std::string& associated, AesKey key)) {
  GcmNonce nonce{1, 2, 3};
  std::string sealed = aes_gcm_seal(key, nonce, plain, associated);
  RC_ASSERT(sealed.size() == plain.size() + gcm_tag_bytes);
  RC_ASSERT(aes_gcm_open(key, nonce, sealed, associated) == plain);
  std::string changed = sealed;
  changed[*rc::gen::inRange<std::size_t>(0, sealed.size())] ^= static_cast<char>(1 << *rc::gen::inRange(0, 8));
  RC_ASSERT(!aes_gcm_open(key, nonce, changed, associated));
  RC_ASSERT(!aes_gcm_open(key, nonce, sealed, associated + "x"));
  RC_ASSERT(!aes_gcm_open(key, {}, sealed, associated));
  RC_ASSERT(!aes_gcm_open(key, nonce, sealed.substr(0, *rc::gen::inRange<std::size_t>(0, sealed.size())), associated));
  key[*rc::gen::inRange<std::size_t>(0, key.size())] ^= 1;
  RC_ASSERT(!aes_gcm_open(key, nonce, sealed, associated));
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
