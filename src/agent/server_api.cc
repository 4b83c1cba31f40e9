#include "agent/server_api.h"

#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/queue_link.h"
#include "base/json.h"
#include "net/http_client.h"

namespace gantry::agent {
namespace {

/// "https://host:port" and the path behind it. Throws Error(invalid_input); a URL may hold a signature, so the error
/// does not quote it.
struct SplitUrl {
  std::string base;
  std::string target;
};
SplitUrl split_url(const std::string& url, std::string_view what) {
  auto scheme_end = url.find("://");
  auto path = scheme_end == std::string::npos ? std::string::npos : url.find('/', scheme_end + 3);
  if (path == std::string::npos) {
    throw Error(ErrorCode::invalid_input, fmt::format("the server gave out {} without path", what));
  }
  return {url.substr(0, path), url.substr(path)};
}

}  // namespace

Error answer_error(const net::IncomingResponse& response) {
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

ServerApi::ServerApi(Env& env, std::shared_ptr<net::Transport> transport, std::string host, std::uint16_t port,
                     bool tls, net::TlsFiles tls_files)
    : env_(env),
      clock_(env),
      transport_(std::move(transport)),
      host_(std::move(host)),
      port_(port),
      tls_(tls),
      tls_files_(std::move(tls_files)) {
  queue_ = make_native_queue(*this);
}

ServerApi::~ServerApi() = default;

void ServerApi::use_queue(std::unique_ptr<QueueLink> queue) { queue_ = std::move(queue); }

std::string ServerApi::root_url() const { return fmt::format("{}://{}:{}", tls_ ? "https" : "http", host_, port_); }

std::string ServerApi::host_header() const { return fmt::format("{}:{}", host_, port_); }

Async<net::OpenResponse> ServerApi::forward(Signer signer, net::OutgoingRequest request) {
  request.headers.set("host", host_header());
  sign(request, signer);
  co_return co_await transport_->open(std::move(request));
}

std::string ServerApi::signed_url(const Signer& signer, const std::string& target, Time expires) const {
  char separator = target.find('?') == std::string::npos ? '?' : '&';
  return fmt::format("{}{}{}bewit={}", root_url(), target, separator, signer->bewit(target, host_, port_, expires));
}

bool ServerApi::is_own(const std::string& url) const {
  auto scheme_end = url.find("://");
  if (scheme_end == std::string::npos) return false;
  std::string base = url.substr(0, url.find('/', scheme_end + 3));
  if (base == root_url()) return true;
  auto endpoint = net::parse_endpoint(base);
  return endpoint && endpoint.value().kind == net::Endpoint::Kind::tcp && endpoint.value().tls == tls_ &&
         endpoint.value().host == host_ && endpoint.value().port == port_;
}

std::shared_ptr<net::Transport> ServerApi::transport_to(const std::string& base) {
  if (is_own(base)) return transport_;
  net::Endpoint elsewhere = value_or_throw(net::parse_endpoint(base));
  elsewhere.tls_files.ca = tls_files_.ca;
  return net::make_http_client(env_, std::move(elsewhere), 1);
}

void ServerApi::sign(net::OutgoingRequest& request, const Signer& signer) {
  if (!signer) return;
  wire::HawkTarget target{net::method_name(request.method), request.target, host_, port_};
  request.headers.add("authorization", signer->header(target, now(), wire::hawk_nonce(env_)));
}

Async<net::OpenResponse> ServerApi::open(Signer signer, std::string url, Duration timeout) {
  net::OutgoingRequest request;
  request.timeout = timeout;
  std::shared_ptr<net::Transport> transport = transport_;
  if (url.starts_with('/')) {
    request.target = std::move(url);
    request.headers.add("host", fmt::format("{}:{}", host_, port_));
    sign(request, signer);
  } else {
    auto [base, target] = split_url(url, "a URL");
    request.target = target;
    request.headers.add("host", base.substr(base.find("://") + 3));
    transport = transport_to(base);
  }
  co_return co_await transport->open(std::move(request));
}

Async<std::shared_ptr<net::WebSocket>> ServerApi::open_socket(Signer signer, std::string target,
                                                              net::WebSocketLimits limits) {
  net::OutgoingRequest request;
  request.target = std::move(target);
  request.timeout = request_timeout;
  request.headers.add("host", fmt::format("{}:{}", host_, port_));
  sign(request, signer);
  co_return co_await net::connect_websocket(env_, transport_, std::move(request), limits);
}

Async<std::string> ServerApi::call(Signer signer, net::Method method, std::string target, std::string body,
                                   std::string content_type, Duration timeout, net::Headers headers) {
  net::OutgoingRequest request;
  request.headers = std::move(headers);
  request.method = method;
  request.target = std::move(target);
  request.headers.add("host", fmt::format("{}:{}", host_, port_));
  if (!body.empty()) request.headers.add("content-type", std::move(content_type));
  request.body = std::move(body);
  request.timeout = timeout;
  net::OutgoingRequest again = request;
  Duration ahead = clock_.ahead();
  sign(request, signer);
  net::IncomingResponse response = co_await exchange(std::move(request));
  if (response.status == 401 && signer && clock_moved(ahead)) {
    sign(again, signer);
    response = co_await exchange(std::move(again));
  }
  if (response.status >= 300) throw answer_error(response);
  co_return std::move(response.body);
}

Async<net::IncomingResponse> ServerApi::exchange(net::OutgoingRequest request) {
  Duration sent = env_.uptime();
  net::IncomingResponse response = co_await transport_->exchange(std::move(request));
  clock_.heard(env_.uptime() - sent, response.headers.get("date"));
  co_return response;
}

bool ServerApi::clock_moved(Duration ahead_before) const {
  Duration by = clock_.ahead() - ahead_before;
  return by >= clock_drift_min || by <= -clock_drift_min;
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

Async<std::vector<std::string>> ServerApi::current_scopes(Signer signer) {
  std::string answer =
      co_await call(std::move(signer), net::Method::get, "/api/auth/v1/scopes/current", "", "", request_timeout);
  json::value document = value_or_throw(parse_json(answer));
  const json::object* object = document.if_object();
  const json::value* list = object ? object->if_contains("scopes") : nullptr;
  if (!list || !list->is_array()) throw Error(ErrorCode::invalid_input, "the server's answer has no scopes");
  std::vector<std::string> scopes;
  for (const json::value& scope : list->get_array()) {
    if (scope.is_string()) scopes.emplace_back(scope.get_string());
  }
  co_return scopes;
}

Async<> ServerApi::put_url(std::string url, std::string content_type, std::shared_ptr<net::BodyReader> body,
                           std::int64_t bytes) {
  auto [base, target] = split_url(url, "an upload URL");
  net::OutgoingRequest request;
  request.method = net::Method::put;
  request.target = target;
  request.headers.add("host", base.substr(base.find("://") + 3));
  request.headers.add("content-type", std::move(content_type));
  request.stream = std::move(body);
  request.stream_bytes = bytes;
  // The timeout is for the whole upload: allow for a slow line.
  request.timeout = request_timeout + seconds(bytes / upload_bytes_per_s_min);
  std::shared_ptr<net::Transport> transport = transport_to(base);
  net::IncomingResponse response = co_await transport->exchange(std::move(request));
  if (response.status >= 300) throw answer_error(response).in("upload");
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
