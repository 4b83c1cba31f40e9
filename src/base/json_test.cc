#include "base/json.h"

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace gantry {
namespace {

std::string canonical(std::string_view text) {
  std::string out;
  append_canonical_json(out, value_or_throw(parse_json(text)));
  return out;
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

/// What the reader says about a document, read as an object with the keys "name" (required) and "count".
std::string complaint(std::string_view text) {
  json::value document = value_or_throw(parse_json(text));
  ObjectReader reader(document, "thing");
  reader.required_text("name", {1, 5});
  reader.integer("count", 0, 10, 1);
  auto done = reader.finish();
  return done ? "" : done.error().message() + (done.error().hint().empty() ? "" : " | " + done.error().hint());
}

TEST(ParseJson, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "{} x", "nul", "'a'", "// c\n1", "\"a\nb\"", "01", "\"\\x\""}) {
    auto parsed = parse_json(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message().find("not valid JSON at byte"), std::string::npos);
  }
}

TEST(ParseJson, RefusesBrokenUtf8) {
  for (const char* text : {"\"\xFF\"", "\"\xC3\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF5\x80\x80\x80\"",
                           "{\"\xFF\":1}", "\"\\ud800\""}) {
    EXPECT_FALSE(parse_json(text)) << text;
  }
  EXPECT_TRUE(parse_json("\"\xC3\xA9 \\ud83d\\ude00\""));
}

TEST(ParseJson, BoundsDepth) {
  auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_json(nested(json_depth_max)));
  EXPECT_FALSE(parse_json(nested(json_depth_max + 1)));
  EXPECT_FALSE(parse_json(nested(1'000'000)));
}

TEST(ParseJson, KeepsTheLastOfDuplicateKeysAndNulsInStrings) {
  EXPECT_EQ(canonical("{\"a\":1,\"a\":2}"), "{\"a\":2}");
  EXPECT_EQ(canonical("\"a\\u0000b\""), "\"a\\u0000b\"");
}

TEST(CanonicalJson, OneSpellingForEqualDocuments) {
  EXPECT_EQ(canonical(" { \"b\" : 1 , \"a\" : [ true , null ] } "), "{\"a\":[true,null],\"b\":1}");
  EXPECT_EQ(canonical("[1.0, 1e2, -0.0, 0.5]"), "[1,100,0,0.5]");
  EXPECT_EQ(canonical("[18446744073709551615, -9223372036854775808]"), "[18446744073709551615,-9223372036854775808]");
  EXPECT_EQ(canonical("\"\\u0041\\/\""), "\"A/\"");
}

RC_GTEST_PROP(CanonicalJson, IsAFixedPoint, (std::map<std::string, std::vector<double>> members)) {
  json::object object;
  for (const auto& [key, numbers] : members) {
    json::array array;
    for (double number : numbers) array.emplace_back(number);
    std::string clean;
    for (char c : key) clean += static_cast<char>(c & 0x7F);
    object[clean] = array;
  }
  std::string once = canonical(json::serialize(object));
  RC_ASSERT(canonical(once) == once);
}

TEST(JsonString, EscapesWhatMustBe) {
  EXPECT_EQ(json_string("plain"), "\"plain\"");
  EXPECT_EQ(json_string("12345678\"12345678\\"), "\"12345678\\\"12345678\\\\\"");
  EXPECT_EQ(json_string(std::string_view("\n\r\t\0\x1F", 5)), "\"\\n\\r\\t\\u0000\\u001f\"");
}

RC_GTEST_PROP(JsonString, ReadsBackAsItself, (std::string text)) {
  for (char& c : text) c = static_cast<char>(c & 0x7F);
  RC_ASSERT(value_or_throw(parse_json(json_string(text))).get_string() == text);
}

TEST(JsonWriter, PutsTheCommas) {
  std::string out;
  JsonWriter writer(out);
  writer.begin_object().field("a", 1).key("b").begin_array().string("x").real(0.5).end_array();
  writer.key("c").begin_object().end_object().field("d", true).field("e", time_from_ms(0)).end_object();
  EXPECT_EQ(out, R"({"a":1,"b":["x",0.5],"c":{},"d":true,"e":"1970-01-01T00:00:00.000Z"})");
}

TEST(ObjectReader, NamesThePathAndTheNearestKey) {
  EXPECT_EQ(complaint(R"({"name":"x"})"), "");
  EXPECT_EQ(complaint(R"({})"), "thing.name: is required");
  EXPECT_EQ(complaint(R"({"name":5})"), "thing.name: must be a string");
  EXPECT_EQ(complaint(R"({"name":"123456"})"), "thing.name: must have 1 to 5 characters, has 6");
  EXPECT_EQ(complaint(R"({"name":"x","count":11})"), "thing.count: must be an integer from 0 to 10");
  EXPECT_EQ(complaint(R"({"name":"x","count":1.5})"), "thing.count: must be an integer from 0 to 10");
  EXPECT_EQ(complaint(R"({"name":"x","cuont":1})"), "thing.cuont: unknown key | did you mean \"count\"?");
  EXPECT_EQ(complaint(R"({"name":"x","zzzzz":1})"), "thing.zzzzz: unknown key | known keys: name, count");
  EXPECT_EQ(complaint("[]"), "thing: must be an object");
}

// JSON schemas count characters, and clients go by them.
TEST(ObjectReader, CountsCharacters) {
  auto document = value_or_throw(parse_json(R"({"short":"\u00e4\u00e4","long":"\u00e4\u00e4\u00e4"})"));
  ObjectReader reader(document, "");
  EXPECT_EQ(reader.required_text("short", {1, 2}), "\u00e4\u00e4");
  EXPECT_TRUE(reader.ok());
  reader.required_text("long", {1, 2});
  EXPECT_EQ(reader.finish().error().message(), "long: must have 1 to 2 characters, has 3");
  ObjectReader few(document, "");
  few.required_text("short", {3, 9});
  EXPECT_FALSE(few.ok());
}

TEST(ObjectReader, TheFormGoesBeforeTheMeaning) {
  auto document = value_or_throw(parse_json(R"({"a":"x","b":1,"c":true})"));
  auto no = [](std::string_view) { return false; };
  ObjectReader reader(document, "");
  reader.required_text("a", {0, 9, no, "something else", InputFault::meaning});
  reader.integer("b", 0, 9, 0);
  reader.boolean("c", false);
  EXPECT_EQ(reader.finish().error().fault(), InputFault::meaning);
  EXPECT_EQ(reader.finish().error().message(), "a: \"x\" must be something else");
  ObjectReader unknown(document, "");
  unknown.contradict("a", "cannot be");
  unknown.integer("b", 0, 9, 0);
  EXPECT_EQ(unknown.finish().error().message(), "a: unknown key");
  reader.text("b", {}, "");
  reader.contradict("a", "cannot be");
  EXPECT_EQ(reader.finish().error().message(), "b: must be a string");
  EXPECT_EQ(reader.finish().error().fault(), InputFault::schema);
}

TEST(ObjectReader, KeepsTheFirstComplaint) {
  EXPECT_EQ(complaint(R"({"name":"","count":99,"x":1})"), "thing.name: must have 1 to 5 characters, has 0");
}

}  // namespace
}  // namespace gantry
