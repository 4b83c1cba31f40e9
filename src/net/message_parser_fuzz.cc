// Requests and responses from arbitrary bytes in arbitrary pieces: no crash, and the pieces make no difference.
#include "net/message_parser.h"

namespace {

using namespace gantry::net;

struct Seen {
  ParseState header = ParseState::need_more;
  ParseState body = ParseState::need_more;
  std::string content;
  std::size_t fields = 0;
};

constexpr std::size_t header_bytes_max = 512;

template <bool is_request>
Seen parse(std::string_view bytes, std::uint32_t seed, bool whole) {
  MessageParser<is_request> parser(header_bytes_max);
  Seen seen;
  std::string held;
  while (true) {
    seed = seed * 1664525 + 1013904223;
    std::size_t size = whole ? bytes.size() : std::min<std::size_t>(1 + (seed >> 24) % 24, bytes.size());
    held += bytes.substr(0, size);
    bytes.remove_prefix(size);
    if (seen.header == ParseState::need_more) {
      Parsed parsed = parser.feed_header(held);
      if (parsed.used > held.size()) __builtin_trap();
      held.erase(0, parsed.used);
      seen.header = parsed.state;
      if (parsed.state == ParseState::done) seen.fields = parser.headers.entries().size();
    }
    if (seen.header == ParseState::done && seen.body == ParseState::need_more) {
      Parsed parsed = parser.feed_body(held, seen.content);
      if (parsed.used > held.size()) __builtin_trap();
      held.erase(0, parsed.used);
      seen.body = parsed.state;
      if (seen.body != ParseState::done && parser.body_done()) __builtin_trap();
    }
    if (bytes.empty() || seen.header > ParseState::done || seen.body != ParseState::need_more) break;
  }
  if (seen.header == ParseState::done && seen.body == ParseState::need_more) seen.body = parser.feed_end();
  return seen;
}

template <bool is_request>
void check(std::string_view bytes, std::uint32_t seed) {
  Seen one = parse<is_request>(bytes, seed, true);
  Seen many = parse<is_request>(bytes, seed, false);
  // What is bad may be found bad sooner or later, depending on what has arrived; what is good must be good either way.
  if ((one.header == ParseState::done) != (many.header == ParseState::done)) __builtin_trap();
  if (one.header != ParseState::done) return;
  if ((one.body == ParseState::done) != (many.body == ParseState::done) || one.fields != many.fields) __builtin_trap();
  if (one.body == ParseState::done && one.content != many.content) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (data[0] % 2 == 0) {
    check<true>(bytes, data[1]);
  } else {
    check<false>(bytes, data[1]);
  }
  return 0;
}
