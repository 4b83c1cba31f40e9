#include "agent/server_api.h"

#include <fmt/format.h>

#include "agent/limits.h"
#include "base/json.h"
#include "net/http_client.h"

namespace gantry::agent {
namespace {

Error error_in(const net::IncomingResponse& response) {
  std::string message = fmt::format("the server answered {}", response.status);
  std::string hint;
  if (auto document = parse_json(response.body)) {
    const json::object* object = document.value().if_object();
    const json::value* text = object ? object->if_contains("message") : nullptr;
    if (text && text->is_string()) message = std::string(text->get_string());
    const json::value* advice = object ? object->if_contains("hint") : nullptr;
    if (advice && advice->is_string()) hint = std::string(advice->get_string());
  }
  return Error(net::error_code_of_status(response.status), message.substr(0, message.find("\n\n---")), std::move(hint));
}

}  // namespace

ServerApi::ServerApi(Env& env, std::shared_ptr<net::Transport> transport, std::string host, std::uint16_t port,
                     bool tls, net::TlsFiles tls_files)
    : env_(env),
      transport_(std::move(transport)),
      host_(std::move(host)),
      port_(port),
      tls_(tls),
      tls_files_(std::move(tls_files)) {}

std::string ServerApi::root_url() const { return fmt::format("{}://{}:{}", tls_ ? "https" : "http", host_, port_); }

Async<std::string> ServerApi::call(Signer signer, net::Method method, std::string target, std::string body,
                                   std::string content_type, Duration timeout, net::Headers headers) {
  net::OutgoingRequest request;
  request.headers = std::move(headers);
  request.method = method;
  request.target = std::move(target);
  request.headers.add("host", fmt::format("{}:{}", host_, port_));
  if (!body.empty()) request.headers.add("content-type", std::move(content_type));
  if (signer) {
    wire::HawkTarget signed_target{net::method_name(method), request.target, host_, port_};
    request.headers.add("authorization", signer->header(signed_target, env_.now(), wire::hawk_nonce(env_)));
  }
  request.body = std::move(body);
  request.timeout = timeout;
  net::IncomingResponse response = co_await transport_->exchange(std::move(request));
  if (response.status >= 300) throw error_in(response);
  co_return std::move(response.body);
}

Async<std::string> ServerApi::post_json(Signer signer, std::string target, std::string body, Duration timeout) {
  co_return co_await call(std::move(signer), net::Method::post, std::move(target), std::move(body), "application/json",
                          timeout);
}

Async<std::string> ServerApi::claim_work(Signer signer, std::string target, std::string body, std::string token,
                                         Duration timeout) {
  net::Headers headers;
  headers.add(std::string(wire::claim_token_header), std::move(token));
  co_return co_await call(std::move(signer), net::Method::post, std::move(target), std::move(body), "application/json",
                          timeout, std::move(headers));
}

Async<std::int64_t> ServerApi::append_log(Signer signer, wire::RunRef run, std::string name, std::int64_t offset,
                                          std::string bytes) {
  std::string target = fmt::format("{}/log?offset={}&name={}", native_run_path(run), offset, net::percent_encode(name));
  std::string answer = co_await call(std::move(signer), net::Method::post, std::move(target), std::move(bytes),
                                     "application/octet-stream", request_timeout);
  json::value document = value_or_throw(parse_json(answer));
  ObjectReader reader(document, "");
  std::int64_t size = reader.required_integer("bytes", 0, INT64_MAX);
  value_or_throw(reader.finish());
  co_return size;
}

Async<> ServerApi::put_url(std::string url, std::string content_type, std::shared_ptr<net::BodyReader> body,
                           std::int64_t bytes) {
  auto scheme_end = url.find("://");
  auto path = scheme_end == std::string::npos ? std::string::npos : url.find('/', scheme_end + 3);
  if (path == std::string::npos)
    throw Error(ErrorCode::invalid_input, "the server gave out an upload URL without path");
  std::string base = url.substr(0, path);
  net::OutgoingRequest request;
  request.method = net::Method::put;
  request.target = url.substr(path);
  request.headers.add("host", base.substr(scheme_end + 3));
  request.headers.add("content-type", std::move(content_type));
  request.stream = std::move(body);
  request.stream_bytes = bytes;
  // The timeout is for the whole upload: allow for a slow line.
  request.timeout = request_timeout + seconds(bytes / upload_bytes_per_s_min);
  std::shared_ptr<net::Transport> transport = transport_;
  if (base != root_url()) {
    net::Endpoint elsewhere = value_or_throw(net::parse_endpoint(base));
    elsewhere.tls_files.ca = tls_files_.ca;
    transport = net::make_http_client(env_, std::move(elsewhere), 1);
  }
  net::IncomingResponse response = co_await transport->exchange(std::move(request));
  if (response.status >= 300) throw error_in(response).in("upload");
}

std::string native_run_path(wire::RunRef run) {
  return fmt::format("/v1/tasks/{}/runs/{}", run.task.to_string(), run.run);
}

std::string queue_run_path(wire::RunRef run) {
  return fmt::format("/api/queue/v1/task/{}/runs/{}", run.task.to_string(), run.run);
}

bool lacks_rights(const Error& error) {
  return error.code() == ErrorCode::not_authenticated || error.code() == ErrorCode::not_authorized;
}

bool may_retry(const Error& error) {
  return error.code() == ErrorCode::unavailable || error.code() == ErrorCode::deadline_exceeded;
}

}  // namespace gantry::agent
