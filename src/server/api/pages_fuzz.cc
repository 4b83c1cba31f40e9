// Limits and continuation tokens from arbitrary text: a limit keeps its bounds, a position comes back from its token,
// and a token that was not given out is refused.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "server/api/pages.h"

namespace gantry::server {
namespace {

Call call_with(std::string_view key, std::string_view value) {
  Call call;
  call.query.emplace_back(key, value);
  return call;
}

/// Nothing if it is refused in the way that is promised.
template <class Read>
auto read(Read what, const Call& call) -> std::optional<decltype(what(call))> {
  try {
    return what(call);
  } catch (const Error& error) {
    GANTRY_ASSERT(error.code() == ErrorCode::invalid_input);
    return std::nullopt;
  }
}

}  // namespace
}  // namespace gantry::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::server;
  std::string text(reinterpret_cast<const char*>(data), size);
  auto limit = read(page_limit, call_with("limit", text));
  GANTRY_ASSERT(!limit || (*limit >= 1 && *limit <= page_limit_max));
  bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  GANTRY_ASSERT(!limit || digits);

  Call own = call_with("continuationToken", page_token(text));
  GANTRY_ASSERT(read(page_position, own) == text);
  auto number = read(page_number, own);
  if (number && !text.empty()) GANTRY_ASSERT(digits && text.find_last_of(std::to_string(*number).back()) == size - 1);

  // What is taken for a token is one: there are no two texts for one position.
  Call theirs = call_with("continuationToken", text);
  auto position = read(page_position, theirs);
  if (position && !text.empty()) GANTRY_ASSERT(page_token(*position) == text);
  read(page_number, theirs);
  return 0;
}
