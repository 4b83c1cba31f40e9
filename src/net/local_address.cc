#include "net/local_address.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace gantry::net {
namespace {

using Bytes = std::array<std::uint8_t, 16>;  // of an IPv6 address

constexpr Bytes mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t v4_at = 12;

struct Range {
  Bytes first;
  int bits;  // of the prefix
};

constexpr Range v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, int bits) {
  Bytes bytes = mapped_prefix;
  bytes[12] = a;
  bytes[13] = b;
  bytes[14] = c;
  bytes[15] = d;
  return {bytes, 96 + bits};
}

constexpr Range ranges[] = {
    v4(0, 0, 0, 0, 8),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(100, 100, 100, 200, 32),      // Alibaba's metadata
    v4(168, 63, 129, 16, 32),        // Azure's
    v4(192, 0, 0, 192, 32),          // Oracle's
    v4(224, 0, 0, 0, 3),             // multicast and reserved
    {{}, 127},                       // :: and ::1
    {{0xfe, 0x80}, 10},              // link-local
    {{0xff}, 8},                     // multicast
    {{0xfd, 0x00, 0x0e, 0xc2}, 32},  // Amazon's metadata
    {{0x20, 0x01, 0, 0}, 32},        // Teredo: IPv4 in another guise
    {{0x20, 0x02}, 16},              // 6to4: likewise
};

/// NAT64: the IPv4 address is at the end.
constexpr Bytes nat64_prefix{0x00, 0x64, 0xff, 0x9b};

bool same_prefix(const Bytes& one, const Bytes& other, int bits) {
  auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::equal(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(whole), other.begin())) return false;
  if (bits % 8 == 0) return true;
  int shift = 8 - bits % 8;
  return (one[whole] >> shift) == (other[whole] >> shift);
}

/// IPv4 as ::ffff:a.b.c.d. False for what is no internet address.
bool bytes_of(const sockaddr& address, Bytes& bytes) {
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    bytes = mapped_prefix;
    std::memcpy(bytes.data() + v4_at, &in.sin_addr, 4);
    return true;
  }
  if (address.sa_family != AF_INET6) return false;
  sockaddr_in6 in{};
  std::memcpy(&in, &address, sizeof in);
  std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
  if (same_prefix(bytes, nat64_prefix, 96)) std::copy_n(mapped_prefix.begin(), v4_at, bytes.begin());
  return true;
}

bool is_own(const Bytes& wanted) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return true;  // rather refused than reached
  bool found = false;
  for (const ifaddrs* entry = list; entry && !found; entry = entry->ifa_next) {
    Bytes bytes{};
    found = entry->ifa_addr && bytes_of(*entry->ifa_addr, bytes) && bytes == wanted;
  }
  ::freeifaddrs(list);
  return found;
}

}  // namespace

bool is_local_address(const sockaddr& address) {
  Bytes bytes{};
  if (!bytes_of(address, bytes)) return true;
  bool in_range =
      std::ranges::any_of(ranges, [&bytes](const Range& range) { return same_prefix(bytes, range.first, range.bits); });
  return in_range || is_own(bytes);
}

}  // namespace gantry::net
