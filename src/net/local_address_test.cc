#include "net/local_address.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <gtest/gtest.h>

namespace gantry::net {
namespace {

namespace asio = boost::asio;

bool is_local(const char* text) {
  asio::ip::tcp::endpoint endpoint(asio::ip::make_address(text), 80);
  return is_local_address(*endpoint.data());
}

TEST(LocalAddress, ThisMachineAndLinkLocalAddressesAreLocal) {
  for (const char* address :
       {"127.0.0.1", "127.255.1.2", "0.0.0.0", "169.254.169.254", "169.254.0.1", "224.0.0.1", "255.255.255.255",
        "100.100.100.200", "168.63.129.16", "::", "::1", "fe80::1", "febf::1", "ff02::1", "fd00:ec2::254",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"}) {
    EXPECT_TRUE(is_local(address)) << address;
  }
}

TEST(LocalAddress, OthersAreNot) {
  for (const char* address : {"192.0.2.1", "8.8.8.8", "198.51.100.7", "2001:db8::1", "fec0::1", "::ffff:192.0.2.1"}) {
    EXPECT_FALSE(is_local(address)) << address;
  }
}

TEST(LocalAddress, WhatIsNoInternetAddressIsLocal) {
  asio::local::stream_protocol::endpoint endpoint("/run/x");
  EXPECT_TRUE(is_local_address(*endpoint.data()));
}

}  // namespace
}  // namespace gantry::net
