// Bytes of strangers into the readers of Hawk headers, bewits and request targets. What is accepted must keep the rules
// that the signed text relies on: one line an attribute, nothing longer than its limit.
#include <cstddef>
#include <cstdint>

#include "wire/hawk.h"

namespace gantry::wire {
namespace {

const HmacSha256Key key("fuzz");

bool one_line(std::string_view text) { return text.find('\n') == std::string_view::npos; }

void try_header(std::string_view text) {
  auto header = parse_hawk_header(text);
  if (!header) return;
  const auto& h = header.value();
  for (auto value : {h.id, h.ts, h.nonce, h.mac, h.hash, h.ext, h.app, h.dlg}) GANTRY_ASSERT(one_line(value));
  GANTRY_ASSERT(!h.id.empty() && !h.mac.empty() && h.ts_seconds >= 0);
  hawk_mac_matches(hawk_mac(key, h, {"GET", "/", "h", 80}), h.mac);
}

void try_target(std::string_view text) {
  auto taken = take_bewit(text);
  if (!taken || !taken.value()) return;
  GANTRY_ASSERT(taken.value()->target.size() + taken.value()->bewit.size() < text.size());
  auto again = take_bewit(taken.value()->target);
  GANTRY_ASSERT(again && !again.value());
}

void try_bewit(std::string_view text) {
  auto bewit = parse_bewit(text);
  if (!bewit) return;
  GANTRY_ASSERT(one_line(bewit.value().id) && one_line(bewit.value().ext) && bewit.value().expires_seconds >= 0);
  hawk_mac_matches(hawk_mac(key, bewit.value(), {"GET", "/", "h", 80}), bewit.value().mac);
}

}  // namespace
}  // namespace gantry::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  gantry::wire::try_header(text);
  gantry::wire::try_target(text);
  gantry::wire::try_bewit(text);
  gantry::wire::parse_host_port(text);
  gantry::wire::hawk_payload_hash(text, text);
  return 0;
}
