// Bytes of strangers as a Hawk ext attribute, and as the JSON inside it. What is read must keep the rules that the
// signed lines rely on, and nothing may verify that was not issued.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/base64.h"
#include "base/text.h"
#include "server/auth/certificate.h"

namespace gantry::auth {
namespace {

const Issuer issuer{"issuer", HmacSha256Key("fuzz")};

void try_ext(std::string_view text) {
  auto ext = parse_ext(text);
  if (!ext || !ext.value().certificate) return;
  const auto& certificate = *ext.value().certificate;
  GANTRY_ASSERT(certificate.seed.size() == certificate_seed_bytes && is_printable_ascii(certificate.seed));
  GANTRY_ASSERT(is_printable_ascii(certificate.issuer));
  GANTRY_ASSERT(std::ranges::all_of(certificate.scopes, [](const auto& scope) { return is_printable_ascii(scope); }));
  GANTRY_ASSERT(!verify_certificate(certificate, "client", issuer));
  GANTRY_ASSERT(!verify_certificate(certificate, issuer.client_id, issuer));
}

}  // namespace
}  // namespace gantry::auth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  gantry::auth::try_ext(text);
  gantry::auth::try_ext(gantry::base64_encode(text));
  return 0;
}
