// Stored records from arbitrary bytes: no crash, the errors that are promised, and what is read is written and read
// again as the same.
#include "core/state/codec.h"

namespace {

using namespace gantry;

template <class Decode>
void check(std::string_view bytes, Decode decode) {
  auto record = decode(bytes);
  if (!record) {
    bool promised = record.error().code() == ErrorCode::corrupt || record.error().code() == ErrorCode::unsupported;
    if (!promised) __builtin_trap();
    return;
  }
  std::string once = encode(record.value());
  auto again = decode(once);
  if (!again || encode(again.value()) != once) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: check(bytes, [](std::string_view text) { return state::decode_task(1, text); }); break;
    case 1: check(bytes, [](std::string_view text) { return state::decode_artifact(1, text); }); break;
    case 2: check(bytes, [](std::string_view text) { return state::decode_allocation(1, text); }); break;
    default: check(bytes, [](std::string_view text) { return state::decode_node(text); }); break;
  }
  return 0;
}
