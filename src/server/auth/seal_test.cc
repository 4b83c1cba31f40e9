#include "server/auth/seal.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/testing/fake_env.h"

namespace gantry::auth {
namespace {

std::string code_of(const auto& result) { return result ? "ok" : std::string(error_code_name(result.error().code())); }

AesKey key_of(std::uint8_t byte) {
  AesKey key;
  key.fill(byte);
  return key;
}

TEST(Seal, OpensWhatItSealedUnderTheSameNameOnly) {
  FakeEnv env;
  Sealer sealer({make_seal_key(key_of(1))});
  std::string sealed = sealer.seal(env, "the secret", "client/a").value();
  EXPECT_EQ(sealed.find("secret"), std::string::npos);
  EXPECT_EQ(sealer.open(sealed, "client/a").value(), "the secret");
  EXPECT_EQ(code_of(sealer.open(sealed, "client/b")), "corrupt");
  EXPECT_NE(sealer.seal(env, "the secret", "client/a").value(), sealed) << "a nonce serves once";
  EXPECT_EQ(sealer.open(sealer.seal(env, "", "n").value(), "n").value(), "");
}

TEST(Seal, TheNewestKeySealsAndAllOpen) {
  FakeEnv env;
  SealKey old_key = make_seal_key(key_of(1));
  SealKey new_key = make_seal_key(key_of(2));
  std::string old_text = Sealer({old_key}).seal(env, "x", "n").value();
  Sealer both({new_key, old_key});
  EXPECT_EQ(both.open(old_text, "n").value(), "x");
  std::string new_text = both.seal(env, "x", "n").value();
  EXPECT_TRUE(new_text.starts_with(new_key.id + ":"));
  EXPECT_EQ(code_of(Sealer({old_key}).open(new_text, "n")), "unavailable");
}

TEST(Seal, AMissingKeyIsToldWithWhatToDo) {
  FakeEnv env;
  std::string sealed = Sealer({make_seal_key(key_of(1))}).seal(env, "x", "n").value();
  auto refusal = Sealer({make_seal_key(key_of(2))}, "/data/secret.key").check_key_of(sealed);
  ASSERT_FALSE(refusal);
  EXPECT_NE(refusal.error().message().find("not in /data/secret.key"), std::string::npos);
  EXPECT_NE(refusal.error().hint().find("backup"), std::string::npos);
  EXPECT_EQ(code_of(Sealer().seal(env, "x", "n")), "unavailable");
  EXPECT_EQ(code_of(Sealer().open(sealed, "n")), "unavailable");
}

TEST(Seal, DamagedTextsDoNotOpen) {
  FakeEnv env;
  Sealer sealer({make_seal_key(key_of(1))});
  std::string sealed = sealer.seal(env, "x", "n").value();
  std::string id = sealed.substr(0, 9);
  for (std::string bad : {std::string(), std::string(":"), std::string("x"), id, id + "AAAA", id + "!", sealed + "=",
                          sealed.substr(0, sealed.size() - 4)}) {
    EXPECT_EQ(code_of(sealer.open(bad, "n")), "corrupt") << bad;
  }
}

TEST(SealKeys, AFileIsWhatWasWritten) {
  FakeEnv env;
  SealKeys keys{random_seal_key(env), random_seal_key(env)};
  SealKeys again = parse_seal_keys(seal_keys_text(keys)).value();
  ASSERT_EQ(again.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again[i].key, keys[i].key);
    EXPECT_EQ(again[i].id, keys[i].id);
  }
  EXPECT_NE(keys[0].id, keys[1].id);
}

TEST(SealKeys, BrokenFilesAreRefusedWithoutRepeatingThem) {
  std::string good = base64_encode(std::string(32, 'k'));
  EXPECT_EQ(parse_seal_keys("# c\r\n\n  " + good + " \r\n").value().size(), 1u);
  std::string many;
  for (std::size_t i = 0; i < seal_keys_max; ++i) many += good + "\n";
  EXPECT_EQ(code_of(parse_seal_keys(many)), "ok");
  EXPECT_EQ(code_of(parse_seal_keys(many + good)), "invalid-input");
  for (std::string bad :
       {std::string(), std::string("\n# only\n"), std::string("hunter2"), base64_encode(std::string(31, 'k')),
        base64_encode(std::string(33, 'k')), good + "\n" + good.substr(1)}) {
    auto refusal = parse_seal_keys(bad);
    ASSERT_EQ(code_of(refusal), "invalid-input") << bad;
    EXPECT_EQ(refusal.error().message().find("hunter2"), std::string::npos);
  }
}

}  // namespace
}  // namespace gantry::auth
