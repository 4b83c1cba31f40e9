#include "base/time.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace gantry {
namespace {

constexpr std::int64_t year_9999_end_ms = 253'402'300'799'999;
constexpr std::int64_t year_0_start_ms = -62'167'219'200'000;

TEST(Time, KnownTexts) {
  const std::pair<std::int64_t, const char*> cases[] = {{0, "1970-01-01T00:00:00.000Z"},
                                                        {1'700'000'000'123, "2023-11-14T22:13:20.123Z"},
                                                        {951'782'400'000, "2000-02-29T00:00:00.000Z"},
                                                        {-1, "1969-12-31T23:59:59.999Z"},
                                                        {year_0_start_ms, "0000-01-01T00:00:00.000Z"},
                                                        {year_9999_end_ms, "9999-12-31T23:59:59.999Z"}};
  for (auto [ms, text] : cases) {
    EXPECT_EQ(format_time(time_from_ms(ms)), text);
    EXPECT_EQ(parse_time(text), time_from_ms(ms)) << text;
  }
}

RC_GTEST_PROP(Time, ParseUndoesFormat, ()) {
  auto time = time_from_ms(*rc::gen::inRange(year_0_start_ms, year_9999_end_ms + 1));
  RC_ASSERT(parse_time(format_time(time)) == time);
}

TEST(Time, AcceptsOffsetsAndFractions) {
  auto expected = time_from_ms(1'700'000'000'000);
  for (auto text :
       {"2023-11-14T22:13:20Z", "2023-11-14t22:13:20z", "2023-11-14T22:13:20.0Z", "2023-11-14T23:13:20+01:00",
        "2023-11-14T16:43:20-05:30", "2023-11-14T22:13:20.000999999Z", "2023-11-14T22:13:20+00:00"}) {
    EXPECT_EQ(parse_time(text), expected) << text;
  }
  EXPECT_EQ(parse_time("2023-11-14T22:13:20.5Z"), expected + milliseconds(500));
  EXPECT_EQ(parse_time("2023-11-14T22:13:20.12Z"), expected + milliseconds(120));
}

TEST(Time, RefusesWhatIsNotATime) {
  for (auto text : {"",
                    "2023-11-14",
                    "2023-11-14T22:13:20",
                    "2023-11-14 22:13:20Z",
                    "2023-11-14T22:13:20.Z",
                    "2023-11-14T22:13:20.1234567890Z",
                    "2023-13-01T00:00:00Z",
                    "2023-00-01T00:00:00Z",
                    "2023-02-29T00:00:00Z",
                    "2023-11-31T00:00:00Z",
                    "2023-11-14T24:00:00Z",
                    "2023-11-14T22:60:00Z",
                    "2023-11-14T22:13:60Z",
                    "2023-11-14T22:13:20Z ",
                    " 2023-11-14T22:13:20Z",
                    "2023-11-14T22:13:20+1:00",
                    "2023-11-14T22:13:20+24:00",
                    "2023-11-14T22:13:20+0100",
                    "-023-11-14T22:13:20Z",
                    "12023-11-14T22:13:20Z",
                    "2023-1-14T22:13:20Z"}) {
    EXPECT_FALSE(parse_time(text)) << text;
  }
}

TEST(Duration, IsWrittenForPeople) {
  EXPECT_EQ(format_duration(milliseconds(0)), "0ms");
  EXPECT_EQ(format_duration(milliseconds(850)), "850ms");
  EXPECT_EQ(format_duration(milliseconds(3200)), "3.2s");
  EXPECT_EQ(format_duration(minutes(4) + seconds(10)), "4m10s");
  EXPECT_EQ(format_duration(hours(2) + minutes(5)), "2h05m");
  EXPECT_EQ(format_duration(hours(76)), "3d4h");
  EXPECT_EQ(format_duration(milliseconds(-850)), "-850ms");
}

TEST(Duration, IsReadWithItsUnit) {
  EXPECT_EQ(parse_duration("90"), seconds(90));
  EXPECT_EQ(parse_duration("90s"), seconds(90));
  EXPECT_EQ(parse_duration("10m"), minutes(10));
  EXPECT_EQ(parse_duration("2h"), hours(2));
  EXPECT_EQ(parse_duration("1d"), hours(24));
  EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(parse_duration("0"), seconds(0));
}

TEST(Duration, RefusesTheRest) {
  for (auto text :
       {"", "s", "-1s", "+1s", "1.5h", "1 h", "1w", "1h30m", "1000000001", "99999999999999999999", "0x10"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

}  // namespace
}  // namespace gantry
