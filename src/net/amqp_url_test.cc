#include "net/amqp_url.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace gantry::net {
namespace {

TEST(AmqpUrl, AllParts) {
  auto url = parse_amqp_url("amqp://us%40er:p%3Ass@broker.example:5673/my%2Fhost");
  ASSERT_TRUE(url);
  EXPECT_FALSE(url.value().tls);
  EXPECT_EQ(url.value().user, "us@er");
  EXPECT_EQ(url.value().password, "p:ss");
  EXPECT_EQ(url.value().host, "broker.example");
  EXPECT_EQ(url.value().port, 5673);
  EXPECT_EQ(url.value().vhost, "my/host");
  EXPECT_EQ(url.value().shown(), "amqp://broker.example:5673/my%2Fhost");
}

TEST(AmqpUrl, Defaults) {
  auto plain = parse_amqp_url("amqp://u:p@h");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain.value().port, 5672);
  EXPECT_EQ(plain.value().vhost, "/");
  auto tls = parse_amqp_url("amqps://u:p@[::1]:99/");
  ASSERT_TRUE(tls);
  EXPECT_TRUE(tls.value().tls);
  EXPECT_EQ(tls.value().host, "::1");
  EXPECT_EQ(tls.value().port, 99);
  EXPECT_EQ(parse_amqp_url("amqps://u:p@h/v").value().port, 5671);
  auto address = parse_amqp_url("amqp://u:p@[::1]");
  ASSERT_TRUE(address);
  EXPECT_EQ(address.value().host, "::1");
  EXPECT_EQ(address.value().shown(), "amqp://[::1]:5672/%2F");
}

TEST(AmqpUrl, AHostIsANameOrAnAddress) {
  for (const char* host : {"[::1", "[]", "[::1]x:5", "::1", "a]b", "a[b", "h?x", "h#x", "h h", "h\n", "h%41", "h\""}) {
    EXPECT_FALSE(parse_amqp_url(fmt::format("amqp://u:p@{}", host))) << host;
  }
}

// The library takes them as C strings: a zero would end them.
TEST(AmqpUrl, NoPartHoldsAZero) {
  for (const char* text : {"amqp://u%00x:p@h", "amqp://u:p%00x@h", "amqp://u:p@h/v%00x"}) {
    EXPECT_FALSE(parse_amqp_url(text)) << text;
  }
  EXPECT_FALSE(parse_amqp_url(std::string_view("amqp://u:p@h\0x", 14)));
}

TEST(AmqpUrl, AnErrorNeverRepeatsIt) {
  for (const char* text :
       {"", "http://u:secret@h", "amqp://", "amqp://h", "amqp://:secret@h", "amqp://u:secret@",
        "amqp://u:secret@h:port", "amqp://u:secret@h:0", "amqp://u:secret@h:65536", "amqp://u:secret@h:12x",
        "amqp://u:secret%@h", "amqp://u:secret@h/a/b", "amqp://u:secret@h/a?b"}) {
    auto url = parse_amqp_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code(), ErrorCode::invalid_input);
    EXPECT_EQ(url.error().message().find("secret"), std::string::npos);
    EXPECT_EQ(url.error().hint().find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace gantry::net
