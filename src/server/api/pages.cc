#include "server/api/pages.h"

#include <charconv>

#include "base/base64.h"
#include "base/text.h"

namespace gantry::server {
namespace {

constexpr std::string_view token_prefix = "page:";  // so that no other text passes for a token

}  // namespace

Error bad_page_token() {
  return Error(ErrorCode::invalid_input, "continuationToken: is not one that was given out",
               "start the list anew without it")
      .with_fault(InputFault::arguments);
}

std::size_t page_limit(const Call& call) {
  std::string_view text = call.query_value("limit");
  if (text.empty()) return page_limit_max;
  std::size_t limit = 0;
  for (char c : text) {
    if (c < '0' || c > '9') limit = 0;
    if (c < '0' || c > '9') break;
    limit = std::min(limit * 10 + static_cast<std::size_t>(c - '0'), page_limit_max);
  }
  if (limit == 0) {
    throw Error(ErrorCode::invalid_input, "limit: must be a number from 1 to 1000").with_fault(InputFault::arguments);
  }
  return limit;
}

std::string page_token(std::string_view position) {
  return base64url_encode(std::string(token_prefix) + std::string(position));
}

std::string page_position(const Call& call) {
  std::string_view token = call.query_value("continuationToken");
  if (token.empty()) return {};
  auto text = base64url_decode(token);
  if (!text || !text->starts_with(token_prefix)) throw bad_page_token();
  return text->substr(token_prefix.size());
}

std::uint64_t page_number(const Call& call) {
  std::string position = page_position(call);
  if (position.empty()) return 0;
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(position.data(), position.data() + position.size(), number);
  if (error != std::errc() || end != position.data() + position.size()) throw bad_page_token();
  return number;
}

}  // namespace gantry::server
