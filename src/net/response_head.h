// The bytes of a response's header.
#pragma once

#include "net/http.h"

namespace gantry::net {

/// How a response's body is framed on the wire.
enum class Framing : std::uint8_t {
  none,    // the status has no body
  length,  // Content-Length
  chunked,
  until_close,  // HTTP/1.0 and a length that is not known
};

struct ResponsePlan {
  Framing framing = Framing::length;
  std::int64_t length = 0;  // Framing::length
  bool send_body = true;    // false: HEAD, or a status without one
  bool keep_alive = true;
  bool http11 = true;  // of the request
};

/// `keep_alive` as far as the request and the server want it; it ends up false where the response forbids it.
ResponsePlan plan_response(const Response& response, Method method, bool http11, bool keep_alive);

/// `date`: the value of the Date header. Framing headers of the handler are replaced by the plan's; control characters
/// in a header become spaces, so that no value can start another header.
void append_response_head(std::string& out, const Response& response, const ResponsePlan& plan, std::string_view date);

/// "Fri, 20 Nov 2026 06:41:03 GMT".
std::string http_date(Time time);

}  // namespace gantry::net
