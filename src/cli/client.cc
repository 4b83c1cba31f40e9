#include "cli/client.h"

#include <cstdlib>

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/credentials.h"
#include "cli/output.h"

namespace gantry::cli {
namespace {

constexpr int busy_tries_max = 5;
constexpr Duration busy_pause = seconds(1);
constexpr std::size_t answer_bytes_max = 64u << 20;
constexpr std::size_t error_bytes_max = 64 * 1024;
constexpr std::size_t foreign_body_shown_max = 200;
constexpr std::string_view start_hint = "start one with: gantry dev";
constexpr std::string_view credentials_hint =
    "set TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN; for a local server: eval \"$(gantry env)\"";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string find_url(const Arguments& arguments) {
  for (std::string url : {arguments.text("url"), variable("GANTRY_URL"), variable("TASKCLUSTER_ROOT_URL")}) {
    if (!url.empty()) return url;
  }
  DataDirectory directory = data_directory(arguments.text("data-dir"));
  try {
    return read_endpoint(directory);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    throw Error(ErrorCode::not_found, fmt::format("there is no server: nothing was started in {}", directory.path),
                std::string(start_hint) + ", or name one with --url");
  }
}

wire::HawkCredentials find_credentials(const Arguments& arguments) {
  wire::HawkCredentials credentials{variable("TASKCLUSTER_CLIENT_ID"), variable("TASKCLUSTER_ACCESS_TOKEN"),
                                    variable("TASKCLUSTER_CERTIFICATE")};
  if (!credentials.client_id.empty() && !credentials.access_token.empty()) return credentials;
  try {
    return read_credentials(data_directory(arguments.text("data-dir")));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    throw Error(ErrorCode::not_authenticated, "there are no credentials to sign requests with",
                std::string(credentials_hint));
  }
}

/// Taskcluster's messages end with a block of request data that nobody at a terminal wants.
std::string without_trailer(std::string_view message) {
  message = message.substr(0, message.find("\n\n---\n"));
  while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
  return std::string(message);
}

bool same_server(const net::Endpoint& a, const net::Endpoint& b) {
  return a.kind == b.kind && a.host == b.host && a.port == b.port && a.path == b.path && a.tls == b.tls;
}

}  // namespace

ServerAddress find_server(const Arguments& arguments) {
  net::Endpoint endpoint = parse_server_url(find_url(arguments), arguments.text("tls-ca"));
  return {std::move(endpoint), find_credentials(arguments)};
}

net::Endpoint parse_server_url(std::string url, const std::string& tls_ca) {
  while (url.ends_with('/')) url.pop_back();
  auto endpoint = net::parse_endpoint(url);
  if (!endpoint) throw endpoint.error().in("the server's URL");
  endpoint.assume_value().tls_files.ca = tls_ca.empty() ? variable("GANTRY_CA") : tls_ca;
  return std::move(endpoint).assume_value();
}

Error error_of_answer(int status, std::string_view body, std::string_view what) {
  ErrorCode code = net::error_code_of_status(status);
  std::string hint;
  if (code == ErrorCode::not_authenticated) hint = credentials_hint;
  auto document = parse_json(body);
  if (!document || text_at(document.value(), "message").empty()) {
    if (status == 404) hint = "is it a gantry server that listens there? see: gantry version";
    return Error(code,
                 fmt::format("{}: the server answered {} {}: {}", what, status, net::status_text(status),
                             shorten(body, foreign_body_shown_max)),
                 std::move(hint));
  }
  std::string message = without_trailer(text_at(document.value(), "message"));
  if (auto said = text_at(document.value(), "hint"); !said.empty()) hint = said;
  // In Taskcluster's form the hint is the message's second line.
  if (auto line_end = message.find('\n'); line_end != std::string::npos && hint.empty()) {
    hint = message.substr(line_end + 1);
    message.resize(line_end);
  }
  return Error(code, std::move(message), std::move(hint));
}

Client::Client(Env& env, ServerAddress address)
    : env_(env),
      endpoint_(std::move(address.endpoint)),
      signer_(address.credentials),
      transport_(net::make_http_client(env, endpoint_, 4)) {}

net::OutgoingRequest Client::signed_request(net::Method method, std::string target, std::string body,
                                            Duration timeout) {
  net::OutgoingRequest request;
  request.method = method;
  request.target = std::move(target);
  request.body = std::move(body);
  request.timeout = timeout;
  std::string host = endpoint_.kind == net::Endpoint::Kind::tcp ? endpoint_.host : "localhost";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  auto port = static_cast<std::uint16_t>(endpoint_.kind == net::Endpoint::Kind::tcp ? endpoint_.port : 80);
  wire::HawkTarget where{net::method_name(method), request.target, host, port};
  std::string hash;
  if (!request.body.empty()) {
    request.headers.add("content-type", "application/json");
    hash = wire::hawk_payload_hash("application/json", request.body);
  }
  request.headers.add("authorization", signer_.header(where, env_.now(), wire::hawk_nonce(env_), hash));
  return request;
}

namespace {

/// What a failed connection means to somebody at a terminal.
Error in_words(const Error& error) {
  bool says_what_to_do = error.message().starts_with("https://");  // a certificate that is not believed, or no TLS
  if (error.code() != ErrorCode::unavailable || says_what_to_do) return error;
  return Error(error.code(), error.message(), std::string(start_hint));
}

}  // namespace

Async<net::IncomingResponse> Client::exchange(net::OutgoingRequest request) {
  std::exception_ptr failure;
  net::IncomingResponse response;
  try {
    response = co_await transport_->exchange(std::move(request), answer_bytes_max);
  } catch (const Error& error) {
    failure = std::make_exception_ptr(in_words(error));
  }
  if (failure) std::rethrow_exception(failure);
  co_return response;
}

Async<json::value> Client::call(net::Method method, std::string target, std::string body, Duration timeout) {
  bool repeatable = method != net::Method::post;
  net::IncomingResponse response;
  for (int tries = 1;; ++tries) {
    response = co_await exchange(signed_request(method, target, body, timeout));
    if (response.status != 503 || !repeatable || tries >= busy_tries_max) break;
    co_await env_.sleep(busy_pause);
  }
  std::string what = fmt::format("{} {}{}", net::method_name(method), url(), target.substr(0, target.find('?')));
  if (response.status < 200 || response.status >= 300) throw error_of_answer(response.status, response.body, what);
  if (response.body.empty()) co_return json::value(json::object());
  auto document = parse_json(response.body);
  if (!document) throw document.error().in(what);
  co_return std::move(document).assume_value();
}

Async<json::value> Client::get(std::string target, Duration timeout) {
  return call(net::Method::get, std::move(target), {}, timeout);
}

Async<json::value> Client::put(std::string target, std::string body) {
  return call(net::Method::put, std::move(target), std::move(body), seconds(30));
}

Async<json::value> Client::post(std::string target, std::string body) {
  return call(net::Method::post, std::move(target), std::move(body), seconds(30));
}

Async<json::value> Client::remove(std::string target) {
  return call(net::Method::delete_, std::move(target), {}, seconds(30));
}

namespace {

Async<net::OpenResponse> open_checked(std::shared_ptr<net::Transport> transport, net::OutgoingRequest request) {
  std::string what = fmt::format("GET {}", request.target.substr(0, request.target.find('?')));
  std::exception_ptr failure;
  net::OpenResponse response;
  try {
    response = co_await transport->open(std::move(request));
  } catch (const Error& error) {
    failure = std::make_exception_ptr(in_words(error));
  }
  if (failure) std::rethrow_exception(failure);
  int status = response.head.status;
  if ((status < 200 || status >= 300) && status != 303) {
    std::string body = co_await net::read_all(*response.body, error_bytes_max);
    throw error_of_answer(status, body, what);
  }
  co_return response;
}

}  // namespace

Async<net::OpenResponse> Client::open(std::string target, Duration timeout) {
  return open_checked(transport_, signed_request(net::Method::get, std::move(target), {}, timeout));
}

Async<std::shared_ptr<net::WebSocket>> Client::open_socket(std::string target, net::WebSocketLimits limits) {
  net::OutgoingRequest request = signed_request(net::Method::get, std::move(target), {}, seconds(30));
  std::exception_ptr failure;
  try {
    co_return co_await net::connect_websocket(env_, transport_, std::move(request), limits);
  } catch (const net::UpgradeRefused& refused) {
    failure = std::make_exception_ptr(error_of_answer(refused.status(), refused.body(), "the shell"));
  } catch (const Error& error) {
    failure = std::make_exception_ptr(in_words(error));
  }
  std::rethrow_exception(failure);
}

Async<net::OpenResponse> Client::open_url(std::string address, Duration timeout) {
  auto scheme = address.find("://");
  auto path = scheme == std::string::npos ? scheme : address.find('/', scheme + 3);
  if (path == std::string::npos) {
    throw Error(ErrorCode::invalid_input,
                fmt::format("the server named a URL without a path: {}", shorten(address, 200)));
  }
  net::Endpoint endpoint = value_or_throw(net::parse_endpoint(address.substr(0, path)));
  std::string target = address.substr(path);
  endpoint.tls_files.ca = endpoint_.tls_files.ca;
  if (same_server(endpoint, endpoint_)) co_return co_await open(std::move(target), timeout);
  net::OutgoingRequest request;
  request.target = std::move(target);
  request.timeout = timeout;
  co_return co_await open_checked(net::make_http_client(env_, endpoint, 0), std::move(request));
}

int run_to_end(const std::function<Async<int>(Env&)>& main) {
  asio::io_context io(1);
  SystemEnv env(io);
  std::exception_ptr failure;
  int code = exit_failed;
  asio::co_spawn(io.get_executor(), main(env), [&](std::exception_ptr thrown, int result) {
    failure = thrown;
    code = result;
    io.stop();
  });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return code;
}

int run_with_client(const Arguments& arguments, Async<int> (*main)(std::shared_ptr<Client>, Arguments)) {
  ServerAddress address = find_server(arguments);
  return run_to_end([&](Env& env) { return main(std::make_shared<Client>(env, address), arguments); });
}

}  // namespace gantry::cli
