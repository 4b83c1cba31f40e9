// Times, durations and sizes from arbitrary text: no crash, and what is read is within its bounds and reads back.
#include "base/text.h"
#include "base/time.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto time = parse_time(text)) {
    if (*time < time_min || *time > time_max || parse_time(format_time(*time)) != time) __builtin_trap();
  }
  if (auto duration = parse_duration(text)) {
    if (*duration < Duration(0) || format_duration(*duration).empty()) __builtin_trap();
  }
  if (auto bytes = parse_bytes(text)) {
    if (*bytes < 0 || format_bytes(*bytes).empty()) __builtin_trap();
  }
  std::string cut = shorten(text, 20);
  if (cut.size() > 23 || shorten(cut, 23) != cut) __builtin_trap();
  return 0;
}
