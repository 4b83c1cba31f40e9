#include "agent/signing_key.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "agent/testing/agent_world.h"
#include "base/base64.h"
#include "base/crypto.h"

namespace gantry::agent {
namespace {

// RFC 8032, section 7.1, test 2.
std::string from_hex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}
const std::string seed = base64_encode(from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
constexpr std::string_view signature_of_0x72 =
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

TEST(SigningKey, signs_as_the_standard_says) {
  auto key = SigningKey::parse(seed + "\n");
  ASSERT_TRUE(key);
  EXPECT_EQ(hex(key.value().sign("\x72")), signature_of_0x72);
  EXPECT_EQ(key.value().public_key_pem(),
            "-----BEGIN PUBLIC KEY-----\n"
            "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"
            "-----END PUBLIC KEY-----\n");
}

TEST(SigningKey, reads_pem) {
  auto key = SigningKey::parse(
      "-----BEGIN PRIVATE KEY-----\n"
      "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
      "-----END PRIVATE KEY-----\n");
  ASSERT_TRUE(key);
  EXPECT_EQ(hex(key.value().sign("\x72")), signature_of_0x72);
}

TEST(SigningKey, whatever_else_is_refused_without_being_repeated) {
  for (std::string text :
       {"", "c2hvcnQ=", "not base64 at all", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}) {
    auto key = SigningKey::parse(text);
    ASSERT_FALSE(key) << text;
    EXPECT_EQ(key.error().message(), "is no private ed25519 key");
  }
}

TEST(SigningKey, a_file_that_others_may_read_is_refused) {
  TemporaryDirectory directory;
  std::string path = directory.file("key");
  std::ofstream(path) << seed;
  std::filesystem::permissions(path, std::filesystem::perms(0640));
  EXPECT_THROW(read_signing_key(path), Error);
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  EXPECT_EQ(hex(read_signing_key(path).sign("\x72")), signature_of_0x72);
  EXPECT_THROW(read_signing_key(directory.file("none")), Error);
}

}  // namespace
}  // namespace gantry::agent
