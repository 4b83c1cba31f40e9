#include "base/sha512.h"

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(Sha512, KnownAnswers) {  // FIPS 180-4's examples
  Sha512 whole;
  whole.update("abc");
  EXPECT_EQ(whole.finish(),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
  Sha512 nothing;
  EXPECT_EQ(nothing.finish(),
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
            "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e");
}

TEST(Sha512, PiecesAreAsGoodAsTheWhole) {
  std::string bytes(1000, 'x');
  Sha512 whole;
  whole.update(bytes);
  Sha512 pieces;
  for (std::size_t i = 0; i < bytes.size(); i += 37) pieces.update(std::string_view(bytes).substr(i, 37));
  EXPECT_EQ(pieces.finish(), whole.finish());
}

}  // namespace
}  // namespace gantry
