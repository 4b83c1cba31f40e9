#include "server/api/byte_range.h"

#include <algorithm>
#include <charconv>

namespace gantry::server {
namespace {

constexpr std::string_view unit = "bytes=";

/// Digits and nothing else.
bool read_number(std::string_view text, std::int64_t& value) {
  if (text.starts_with('-')) return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

ByteRange read_byte_range(std::string_view header, std::int64_t size) {
  auto dash = header.find('-');
  if (!header.starts_with(unit) || dash == std::string_view::npos) return {};
  std::string_view first = header.substr(unit.size(), dash - unit.size());
  std::string_view last = header.substr(dash + 1);
  std::int64_t from = 0;
  std::int64_t to = size - 1;
  if (first.empty()) {
    std::int64_t suffix = 0;
    if (!read_number(last, suffix)) return {};
    from = std::max<std::int64_t>(size - suffix, 0);
  } else if (!read_number(first, from) || (!last.empty() && (!read_number(last, to) || to < from))) {
    return {};
  }
  to = std::min(to, size - 1);
  if (from > to) return {.partial = true, .satisfiable = false};
  return {from, to - from + 1, true, true};
}

}  // namespace gantry::server
