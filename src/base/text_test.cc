#include "base/text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/json.h"

namespace gantry {
namespace {

constexpr std::string_view keys[] = {"image", "command", "maxRunTime", "features"};

TEST(NearestWord, FindsWhatWasMeant) {
  EXPECT_EQ(nearest_word("featurs", keys), "features");
  EXPECT_EQ(nearest_word("maxRuntime", keys), "maxRunTime");
  EXPECT_EQ(nearest_word("comamnd", keys), "command");
  EXPECT_EQ(nearest_word("volumes", keys), "");
  EXPECT_EQ(nearest_word(std::string(10'000, 'x'), keys), "");
}

TEST(Shorten, CutsBetweenCharactersOnly) {
  EXPECT_EQ(shorten("short", 5), "short");
  EXPECT_EQ(shorten("longer", 5), "longe...");
  EXPECT_EQ(shorten("a\xC3\xA9z", 2), "a...");          // the e with its accent does not fit
  EXPECT_EQ(shorten("a\xC3\xA9z", 3), "a\xC3\xA9...");  // now it does
  EXPECT_EQ(shorten("\xF0\x9F\x98\x80!", 4), "\xF0\x9F\x98\x80...");
}

TEST(Shorten, ReplacesWhatCannotBeShown) {
  EXPECT_EQ(shorten(std::string_view("a\0b\n\x7F", 5), 10), "a?b?\?");
  EXPECT_EQ(shorten("\xFF\xC3(\xED\xA0\x80", 10),
            std::string(2, '?') + "(" + std::string(3, '?'));  // neither broken bytes nor a surrogate
}

RC_GTEST_PROP(Shorten, AlwaysFitsIntoJson, (std::string text)) {
  auto bytes_max = *rc::gen::inRange<std::size_t>(0, 40);
  std::string cut = shorten(text, bytes_max);
  RC_ASSERT(cut.size() <= bytes_max + 3);
  std::string quoted;
  append_json_string(quoted, cut);
  RC_ASSERT(parse_json(quoted).has_value());
}

TEST(ParseBytes, ReadsSizesInPowersOf1024) {
  EXPECT_EQ(parse_bytes("512"), 512);
  EXPECT_EQ(parse_bytes("512k"), 512 * 1024);
  EXPECT_EQ(parse_bytes("256m"), 256 << 20);
  EXPECT_EQ(parse_bytes("1.5g"), 3LL << 29);
  EXPECT_EQ(parse_bytes("2GiB"), 2LL << 30);
  EXPECT_EQ(parse_bytes("1T"), 1LL << 40);
}

TEST(ParseBytes, RefusesEverythingElse) {
  for (const char* text : {"", "m", "-1", "-0", "1x", "1mm", "nan", "inf", "infinity", "nan(1)", " 1", "1 ", "1e3",
                           "+1", "99999999999t", "0x10"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(FormatBytes, IsForPeople) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(3'355'443), "3.2 MiB");
}

}  // namespace
}  // namespace gantry
