#include "agent/openpgp.h"

#include <gtest/gtest.h>

#include "agent/testing/openpgp_vectors.h"
#include "base/base64.h"

namespace gantry::agent {
namespace {

OpenPgpKey key() { return value_or_throw(OpenPgpKey::parse(*base64_decode(openpgp_key))); }

TEST(OpenPgp, a_message_for_the_key_is_read) {
  auto plain = key().decrypt(*base64_decode(openpgp_message));
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(plain.value(), "plain words");
}

TEST(OpenPgp, one_that_was_changed_cut_or_meant_for_others_is_not) {
  std::string message = *base64_decode(openpgp_message);
  std::string changed = message;
  changed[changed.size() - 30] = static_cast<char>(changed[changed.size() - 30] ^ 1);
  EXPECT_FALSE(key().decrypt(changed));
  for (std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{20}, message.size() - 1}) {
    EXPECT_FALSE(key().decrypt(message.substr(0, bytes))) << bytes;
  }
  EXPECT_FALSE(key().decrypt(*base64_decode(openpgp_other_message)));
  EXPECT_FALSE(key().decrypt("plain words"));
}

TEST(OpenPgp, one_without_integrity_protection_is_not) {
  EXPECT_FALSE(key().decrypt(*base64_decode(openpgp_unprotected_message)));
}

TEST(OpenPgp, only_a_private_key_without_passphrase_is_one) {
  EXPECT_FALSE(OpenPgpKey::parse(""));
  EXPECT_FALSE(OpenPgpKey::parse("not a key"));
  EXPECT_FALSE(OpenPgpKey::parse(*base64_decode(openpgp_locked_key)));
  EXPECT_FALSE(OpenPgpKey::parse(key().public_key()));
}

TEST(OpenPgp, its_public_part_is_armoured) {
  EXPECT_TRUE(key().public_key().starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"));
}

}  // namespace
}  // namespace gantry::agent
