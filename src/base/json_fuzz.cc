// JSON, base64 and slugids from arbitrary text: no crash, one canonical spelling of a document, and no two texts that
// mean the same bytes.
#include <cstddef>
#include <cstdint>

#include "base/base64.h"
#include "base/ids.h"
#include "base/json.h"

namespace gantry {
namespace {

void try_json(std::string_view text) {
  std::string quoted;
  append_json_string(quoted, text);
  auto string = parse_json(quoted);
  if (string) GANTRY_ASSERT(string.value().is_string());
  auto document = parse_json(text);
  if (!document) {
    GANTRY_ASSERT(document.error().code() == ErrorCode::invalid_input);
    return;
  }
  std::string canonical;
  append_canonical_json(canonical, document.value());
  auto again = parse_json(canonical);
  GANTRY_ASSERT(again);
  std::string twice;
  append_canonical_json(twice, again.value());
  GANTRY_ASSERT(twice == canonical);
}

void try_ids(std::string_view text) {
  auto bytes = base64_decode(text);
  GANTRY_ASSERT(!bytes || base64_encode(*bytes) == text);
  auto url_bytes = base64url_decode(text);
  GANTRY_ASSERT(!url_bytes || base64url_encode(*url_bytes) == text);
  GANTRY_ASSERT(base64_decode(base64_encode(text)) == text && base64url_decode(base64url_encode(text)) == text);
  auto id = TaskId::parse(text);
  GANTRY_ASSERT(!id || id->to_string() == text);
}

}  // namespace
}  // namespace gantry

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  gantry::try_json(text);
  gantry::try_ids(text);
  return 0;
}
