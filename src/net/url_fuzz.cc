// Percent-encoding, queries and endpoints from arbitrary text: no crash, what is encoded decodes to itself, and an
// endpoint's own spelling is read as the same endpoint.
#include <cstddef>
#include <cstdint>

#include "net/http_client.h"
#include "net/text.h"

namespace gantry::net {
namespace {

void try_percent(std::string_view text) {
  std::string encoded = percent_encode(text);
  GANTRY_ASSERT(percent_decode(encoded) == text && encoded.size() <= text.size() * 3);
  if (auto decoded = percent_decode(text)) {
    GANTRY_ASSERT(decoded->size() <= text.size() && percent_decode(percent_encode(*decoded)) == *decoded);
    GANTRY_ASSERT(text.find('%') != std::string_view::npos || *decoded == text);
  }
}

void try_query(std::string_view text) {
  auto pairs = parse_query(text);
  if (!pairs) return;
  std::string again;
  for (const auto& [name, value] : *pairs) {
    again += percent_encode(name) + "=" + percent_encode(value) + "&";
  }
  GANTRY_ASSERT(parse_query(again) == pairs);
}

void try_endpoint(std::string_view text) {
  auto endpoint = parse_endpoint(text);
  if (!endpoint) return;
  const Endpoint& one = endpoint.value();
  if (one.kind == Endpoint::Kind::unix_socket) {
    GANTRY_ASSERT(one.path.starts_with('/') && one.path.find('\0') == std::string::npos);
  } else {
    GANTRY_ASSERT(!one.host.empty() && one.port >= 1 && one.port <= 65535);
    GANTRY_ASSERT(is_header_text(one.host_header()) && one.host.find_first_of("/@ ") == std::string::npos);
  }
  auto again = parse_endpoint(one.to_string());
  GANTRY_ASSERT(again && again.value().to_string() == one.to_string() && again.value().kind == one.kind);
  GANTRY_ASSERT(again.value().host == one.host && again.value().port == one.port && again.value().tls == one.tls);
}

}  // namespace
}  // namespace gantry::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  gantry::net::try_percent(text);
  gantry::net::try_query(text);
  gantry::net::try_endpoint(text);
  gantry::net::try_endpoint("http://" + std::string(text));
  gantry::net::try_endpoint("http://[" + std::string(text));
  return 0;
}
