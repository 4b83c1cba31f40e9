// What agents and the server say to each other, from arbitrary bytes: no crash, and what is read is written and read
// again as the same.
#include "wire/node_messages.h"

namespace {

template <class Parse>
void check(std::string_view bytes, Parse parse) {
  auto message = parse(bytes);
  if (!message) return;
  std::string once = to_json(message.value());
  auto again = parse(once);
  if (!again || to_json(again.value()) != once) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::wire;
  if (size < 1) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: check(bytes, parse_node_poll); break;
    case 1: check(bytes, parse_node_news); break;
    default: check(bytes, parse_run_report); break;
  }
  return 0;
}
