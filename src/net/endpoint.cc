#include <charconv>

#include <fmt/format.h>

#include "net/http_client.h"
#include "net/text.h"

namespace gantry::net {
namespace {

constexpr std::string_view endpoint_hint = "write https://host:port, http://host:port or unix:///path/to/socket";

Result<int> parse_port(std::string_view text, std::string_view url) {
  int port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535) {
    return Error(ErrorCode::invalid_input, fmt::format("\"{}\" has no valid port", url), std::string(endpoint_hint));
  }
  return port;
}

Result<Endpoint> parse_authority(std::string_view authority, std::string_view url, bool tls) {
  Endpoint endpoint;
  endpoint.tls = tls;
  std::string_view port = tls ? "443" : "80";
  if (authority.starts_with('[')) {
    auto close = authority.find(']');
    std::string_view rest = close == std::string_view::npos ? "?" : authority.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) {
      return Error(ErrorCode::invalid_input, fmt::format("\"{}\" has a broken IPv6 address", url),
                   "write http://[::1]:8080");
    }
    endpoint.host = authority.substr(1, close - 1);
    if (!rest.empty()) port = rest.substr(1);
  } else {
    auto colon = authority.find(':');
    endpoint.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  bool clean = is_header_text(endpoint.host) && endpoint.host.find_first_of(" \t@?#%[]\\\"") == std::string::npos;
  if (endpoint.host.empty() || !clean) {
    return Error(ErrorCode::invalid_input, fmt::format("\"{}\" has no valid host", url), std::string(endpoint_hint));
  }
  TRY(auto number, parse_port(port, url));
  endpoint.port = number;
  return endpoint;
}

}  // namespace

std::string Endpoint::host_header() const {
  if (kind == Kind::unix_socket) return "localhost";
  std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (tls ? 443 : 80) ? name : fmt::format("{}:{}", name, port);
}

std::string Endpoint::to_string() const {
  if (kind == Kind::unix_socket) return "unix://" + path;
  return fmt::format(fmt::runtime(host.find(':') == std::string::npos ? "{}://{}:{}" : "{}://[{}]:{}"),
                     tls ? "https" : "http", host, port);
}

Result<Endpoint> parse_endpoint(std::string_view url) {
  auto scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) {
    return Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not a URL", url), std::string(endpoint_hint));
  }
  std::string_view scheme = url.substr(0, scheme_end);
  std::string_view rest = url.substr(scheme_end + 3);
  if (equals_ignoring_case(scheme, "unix")) {
    if (!rest.starts_with('/') || rest.find('\0') != std::string_view::npos) {
      return Error(ErrorCode::invalid_input, fmt::format("\"{}\" has no absolute path", url),
                   "write unix:///path/to/socket, with three slashes");
    }
    Endpoint endpoint;
    endpoint.kind = Endpoint::Kind::unix_socket;
    endpoint.path = rest;
    return endpoint;
  }
  bool tls = equals_ignoring_case(scheme, "https");
  if (!tls && !equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "tcp")) {
    return Error(ErrorCode::invalid_input, fmt::format("\"{}\" has an unknown scheme \"{}\"", url, scheme),
                 std::string(endpoint_hint));
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('/') != std::string_view::npos) {
    return Error(ErrorCode::invalid_input, fmt::format("\"{}\" has a path; only a host and a port belong here", url),
                 std::string(endpoint_hint));
  }
  return parse_authority(rest, url, tls);
}

}  // namespace gantry::net
