// Messages of shells from arbitrary bytes: no crash, and what is read is written as the same bytes.
#include <cstddef>
#include <cstdint>

#include "wire/shell_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto message = gantry::wire::decode_shell(bytes);
  if (message) GANTRY_ASSERT(gantry::wire::encode_shell(message.value()) == bytes);
  return 0;
}
