// Objects behind artifacts, up and down, by signed URL alone (design 3.18).
#include <fmt/format.h>

#include "server/api/answers.h"
#include "server/api/byte_range.h"
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

Async<net::Response> get_object(Services& services, Call& call) {
  check_signature(services, call, "GET");
  if (!services.objects) throw Error(ErrorCode::unavailable, "this server stores no objects");
  const std::string& name = call.parameter("name");
  object::ObjectInfo info = co_await services.objects->info(name);
  ByteRange range = read_byte_range(call.request.headers.get("range"), info.bytes);
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
  Bind bind{services};
  using enum net::Method;
  std::vector<std::string> keys = {"expires", "signature"};
  router.add({put, "/v1/objects/*name", "putObject", Dialect::native, bind(put_object), false, keys});
  router.add({get, "/v1/objects/*name", "getObject", Dialect::native, bind(get_object), false, keys});
}

}  // namespace gantry::server
