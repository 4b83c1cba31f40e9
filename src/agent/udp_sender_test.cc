#include "agent/udp_sender.h"

#include <gtest/gtest.h>

namespace gantry::agent {
namespace {

TEST(UdpTarget, OnlyHostAndPortCount) {
  auto shown = [](std::string_view url) {
    UdpTarget target = parse_udp_target(url);
    return target.host + " " + target.port;
  };
  EXPECT_EQ(shown("udp://stats.example:81"), "stats.example 81");
  EXPECT_EQ(shown("stats.example:81"), "stats.example 81");
  EXPECT_EQ(shown("statsd://stats.example/path"), "stats.example 8125");
  EXPECT_EQ(shown("udp://[::1]:81"), "::1 81");
  for (const char* wrong : {"", "udp://", "host:", "host:x", "host:0", "host:70000", "[::1]x"}) {
    EXPECT_THROW(parse_udp_target(wrong), Error) << wrong;
  }
}

}  // namespace
}  // namespace gantry::agent
