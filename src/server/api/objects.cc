// Objects behind artifacts, up and down, by signed URL alone (design 3.18).
#include <charconv>

#include <fmt/format.h>

#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/auth/signed_url.h"

namespace gantry::server {
namespace {

void check_signature(const Services& services, const Call& call, std::string_view method) {
  value_or_throw(auth::check_signed_url(method, call.parameter("name"), call.request.query(), services.env.now(),
                                        services.object_key));
}

Async<net::Response> put_object(Services& services, Call& call) {
  check_signature(services, call, "PUT");
  if (!services.objects) throw Error(ErrorCode::unavailable, "this server stores no objects");
  object::ObjectInfo info;
  info.content_type = std::string(call.request.headers.get("content-type"));
  info.content_encoding = std::string(call.request.headers.get("content-encoding"));
  if (call.request.content_length < 0) {
    throw Error(ErrorCode::invalid_input, "an upload needs a Content-Length", "send the file's size");
  }
  co_await services.objects->put(call.parameter("name"), info, call.request.body, call.request.content_length);
  net::Response response;
  response.headers.add("etag", "\"stored\"");
  co_return response;
}

struct Range {
  std::int64_t from = 0;
  std::int64_t bytes = -1;
  bool partial = false;
  bool satisfiable = true;
};

bool number(std::string_view text, std::int64_t& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0;
}

/// One range of bytes (RFC 9110 14.2); anything else is answered whole, as the RFC allows.
Range read_range(std::string_view header, std::int64_t size) {
  Range range;
  auto dash = header.find('-');
  if (!header.starts_with("bytes=") || dash == std::string_view::npos || header.find(',') != std::string_view::npos) {
    return range;
  }
  std::string_view first = header.substr(6, dash - 6);
  std::string_view last = header.substr(dash + 1);
  std::int64_t from = 0;
  std::int64_t to = size - 1;
  if (first.empty()) {
    std::int64_t suffix = 0;
    if (!number(last, suffix)) return range;
    from = std::max<std::int64_t>(size - suffix, 0);
  } else if (!number(first, from) || (!last.empty() && !number(last, to))) {
    return range;
  }
  to = std::min(to, size - 1);
  range.partial = true;
  range.satisfiable = from <= to;
  range.from = from;
  range.bytes = to - from + 1;
  return range;
}

Async<net::Response> get_object(Services& services, Call& call) {
  check_signature(services, call, "GET");
  if (!services.objects) throw Error(ErrorCode::unavailable, "this server stores no objects");
  const std::string& name = call.parameter("name");
  object::ObjectInfo info = co_await services.objects->info(name);
  Range range = read_range(call.request.headers.get("range"), info.bytes);
  net::Response response;
  response.headers.add("accept-ranges", "bytes");
  if (!range.satisfiable) {
    response.status = 416;
    response.headers.add("content-range", fmt::format("bytes */{}", info.bytes));
    co_return response;
  }
  object::OpenObject object = co_await services.objects->open(name, range.from, range.bytes);
  if (!info.content_type.empty()) response.headers.add("content-type", info.content_type);
  if (!info.content_encoding.empty()) response.headers.add("content-encoding", info.content_encoding);
  response.stream = object.body;
  response.stream_bytes = range.partial ? range.bytes : info.bytes;
  if (range.partial) {
    response.status = 206;
    response.headers.add("content-range",
                         fmt::format("bytes {}-{}/{}", range.from, range.from + range.bytes - 1, info.bytes));
  }
  co_return response;
}

}  // namespace

void add_object_routes(Router& router, Services& services) {
  auto bind = [&services](Async<net::Response> (*handler)(Services&, Call&)) {
    return [&services, handler](Call& call) { return handler(services, call); };
  };
  using enum net::Method;
  std::vector<std::string> keys = {"expires", "signature"};
  router.add({put, "/v1/objects/*name", "putObject", Dialect::native, bind(put_object), false, keys});
  router.add({get, "/v1/objects/*name", "getObject", Dialect::native, bind(get_object), false, keys});
}

}  // namespace gantry::server
