#include "engine/docker/requests.h"

#include <algorithm>

#include <fmt/core.h>

#include "engine/docker/image_reference.h"
#include "engine/docker/output_stream.h"

namespace gantry::engine::docker {

std::string checked_id(std::string id, std::string_view of) {
  bool good = !id.empty() && id.size() <= name_bytes_max && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
  if (!good || id[0] == '.') {
    throw Error(ErrorCode::invalid_input,
                fmt::format("\"{}\" is not a {}'s id or name", id.substr(0, name_bytes_max), of),
                "write it with letters, digits, '_', '.' and '-', and without a '.' in front");
  }
  return id;
}

std::string short_id(const std::string& id) { return id.substr(0, 12); }

std::string repository_query(const std::string& reference) {
  ImageReference parts = parse_image_reference(reference);
  if (parts.tag.find(':') != std::string::npos) {
    throw Error(ErrorCode::invalid_input, fmt::format("an image cannot be given the digest of \"{}\"", reference),
                "write it as [registry[:port]/]name[:tag]");
  }
  return "repo=" + net::percent_encode(parts.name) + "&tag=" + net::percent_encode(parts.tag);
}

net::OutgoingRequest Requests::request_of(Call call) const {
  net::OutgoingRequest request;
  request.method = call.method;
  request.target = prefix_ + call.path;
  request.timeout = call.timeout;
  request.headers = std::move(call.headers);
  if (call.archive) {
    request.headers.add("Content-Type", "application/x-tar");
  } else if (!call.body.empty()) {
    request.headers.add("Content-Type", "application/json");
  }
  request.body = std::move(call.body);
  request.stream = std::move(call.archive);
  request.stream_bytes = call.archive_bytes;
  return request;
}

Async<Version> Requests::negotiate() {
  std::string what = "ask for the version";
  net::OutgoingRequest request;
  request.target = "/version";  // every engine answers this one without a version
  request.timeout = ping_timeout;
  std::exception_ptr failure;
  net::IncomingResponse answer;
  try {
    answer = co_await transport_->exchange(std::move(request), answer_bytes_max);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) rethrow_in_context(failure, what);
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
  Version version = parse_version(answer.body);
  prefix_ = version_prefix(negotiate_version(version));
  co_return version;
}

Async<> Requests::ensure_version() {
  if (prefix_.empty()) co_await negotiate();
}

Async<> Requests::ping() {
  net::OutgoingRequest request;
  request.target = "/_ping";
  request.timeout = ping_timeout;
  net::IncomingResponse answer = co_await fresh_->exchange(std::move(request), answer_bytes_max);
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, "ping the engine");
}

Async<net::IncomingResponse> Requests::exchange(Call call) {
  co_await ensure_version();
  std::string what = call.what;
  std::size_t body_bytes_max = call.body_bytes_max;
  // An archive can be sent only once, so not over a connection that the engine may just be closing.
  std::shared_ptr<net::Transport> transport = call.archive ? fresh_ : transport_;
  std::exception_ptr failure;
  try {
    co_return co_await transport->exchange(request_of(std::move(call)), body_bytes_max);
  } catch (...) {
    failure = std::current_exception();
  }
  rethrow_in_context(failure, what);
}

Async<std::string> Requests::call(Call call) {
  std::string what = call.what;
  net::IncomingResponse answer = co_await exchange(std::move(call));
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
  co_return std::move(answer.body);
}

Async<net::OpenResponse> Requests::open(Call call) {
  co_await ensure_version();
  std::string what = call.what;
  std::exception_ptr failure;
  net::OpenResponse answer;
  try {
    answer = co_await transport_->open(request_of(std::move(call)));
    if (!is_success(answer.head.status)) answer.head.body = co_await net::read_all(*answer.body, error_bytes_max);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) rethrow_in_context(failure, what);
  co_return answer;
}

Async<std::shared_ptr<net::BodyReader>> Requests::open_body(Call call) {
  std::string what = call.what;
  net::OpenResponse answer = co_await open(std::move(call));
  if (!is_success(answer.head.status)) throw status_error(answer.head.status, answer.head.body, what);
  co_return in_context(std::move(answer.body), std::move(what));
}

Async<std::shared_ptr<net::RawStream>> Requests::take_over(Call call) {
  co_await ensure_version();
  std::string what = call.what;
  std::exception_ptr failure;
  try {
    co_return co_await transport_->upgrade(request_of(std::move(call)), "tcp");
  } catch (...) {
    failure = std::current_exception();
  }
  rethrow_in_context(failure, what);
}

}  // namespace gantry::engine::docker
