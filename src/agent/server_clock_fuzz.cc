// Dates of any server's answers.
#include <cstddef>
#include <cstdint>

#include "agent/server_clock.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto time = gantry::agent::parse_http_date({reinterpret_cast<const char*>(data), size});
  if (time && time->time_since_epoch() % gantry::seconds(1) != gantry::Duration(0)) __builtin_trap();
  return 0;
}
