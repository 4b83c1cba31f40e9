// Stored texts and key files as somebody may have changed them: what opens is what was sealed, and nothing else does.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/auth/seal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  using namespace gantry::auth;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static const Sealer sealer({make_seal_key({})});
  static const std::string id = make_seal_key({}).id;
  GANTRY_ASSERT(!sealer.open(text, "name"));
  GANTRY_ASSERT(!sealer.open(id + ":" + std::string(text), "name"));
  auto keys = parse_seal_keys(text);
  if (keys) {
    auto again = parse_seal_keys(seal_keys_text(keys.value()));
    GANTRY_ASSERT(again && again.value().size() == keys.value().size());
  }
  return 0;
}
