#include "agent/proxy/request.h"

#include <algorithm>

#include <fmt/format.h>

#include "net/text.h"

namespace gantry::agent {
namespace {

constexpr std::string_view api = "/api/";

/// Cuts the next part off: "a/b?c" gives "a" and leaves "b?c".
std::string_view next_part(std::string_view& path) {
  auto end = path.find_first_of("/?");
  std::string_view part = path.substr(0, end);
  path.remove_prefix(end == std::string_view::npos ? path.size() : end + (path[end] == '/' ? 1 : 0));
  return part;
}

/// "purge-cache".
bool is_service(std::string_view part) {
  return !part.empty() && part != "api" &&
         std::ranges::all_of(part, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

/// "v1".
bool is_version(std::string_view part) {
  return part.size() > 1 && part.size() < 5 && part[0] == 'v' &&
         std::ranges::all_of(part.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

/// Nothing that a server might read as another path than the one that was looked at.
bool is_plain(std::string_view target) {
  std::string_view path = target.substr(0, target.find('?'));
  bool printable = std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f && c != '#' && c != '\\'; });
  return printable && path.starts_with('/') && !path.starts_with("//") && path.find("/./") == std::string_view::npos &&
         path.find("/../") == std::string_view::npos && !path.ends_with("/..") && !path.ends_with("/.");
}

/// "/api/queue/v1/..." itself, or "/queue/v1/..." as that; empty for anything else.
std::string service_target(std::string_view target) {
  if (!is_plain(target)) return {};
  bool with_api = target.starts_with(api);
  std::string_view rest = target.substr(with_api ? api.size() : 1);
  std::string_view service = next_part(rest);
  std::string_view version = next_part(rest);
  if (!is_service(service) || !is_version(version)) return {};
  return with_api ? std::string(target) : fmt::format("/api{}", target);
}

bool is_of_connection(const net::Headers& headers, std::string_view name) {
  constexpr std::string_view names[] = {"connection",          "keep-alive", "proxy-authenticate",
                                        "proxy-authorization", "te",         "trailer",
                                        "transfer-encoding",   "upgrade",    "proxy-connection"};
  auto same = [name](std::string_view other) { return net::equals_ignoring_case(name, other); };
  if (std::ranges::any_of(names, same)) return true;
  return std::ranges::any_of(headers.entries(), [name](const auto& header) {
    return net::equals_ignoring_case(header.first, "connection") && net::list_has_token(header.second, name);
  });
}

bool starts_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && net::equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

/// What the proxy says itself, or says of itself.
bool is_of_proxy(std::string_view name) {
  constexpr std::string_view names[] = {"host", "authorization", "content-length", "expect", "forwarded", "via"};
  auto same = [name](std::string_view other) { return net::equals_ignoring_case(name, other); };
  return std::ranges::any_of(names, same) || starts_ignoring_case(name, "x-forwarded-") ||
         starts_ignoring_case(name, "x-real-ip");
}

}  // namespace

Result<std::string> proxied_target(std::string_view target, std::string_view server_host) {
  std::string direct = service_target(target);
  if (!direct.empty()) return direct;
  std::string_view host = target.starts_with('/') ? target.substr(1) : std::string_view();
  host = host.substr(0, host.find_first_of("/?"));
  // The port may be left away: there is one server.
  std::string_view name = server_host.substr(0, server_host.rfind(':'));
  bool own = net::equals_ignoring_case(host, server_host) || net::equals_ignoring_case(host, name);
  if (own && !host.empty()) {
    std::string behind_host = service_target(target.substr(1 + host.size()));
    if (!behind_host.empty()) return behind_host;
  }
  return Error(ErrorCode::invalid_input, "this is not the path of a service",
               fmt::format("ask for /api/<service>/<version>/..., of {} and no other host", server_host));
}

Result<std::string> signable_target(std::string_view url, std::string_view root_url) {
  std::string target;
  if (url.starts_with(root_url)) target = service_target(url.substr(root_url.size()));
  if (!target.empty() && url.substr(root_url.size()).starts_with(api)) return target;
  return Error(ErrorCode::invalid_input, "only URLs of services are signed",
               fmt::format("send one that begins with {}/api/", root_url));
}

net::Headers headers_for_server(const net::Headers& headers) {
  net::Headers kept;
  for (const auto& [name, value] : headers.entries()) {
    if (!is_of_connection(headers, name) && !is_of_proxy(name)) kept.add(name, value);
  }
  return kept;
}

net::Headers headers_for_task(const net::Headers& headers) {
  net::Headers kept;
  for (const auto& [name, value] : headers.entries()) {
    if (!is_of_connection(headers, name)) kept.add(name, value);
  }
  return kept;
}

bool is_idempotent(net::Method method) {
  using net::Method;
  return method == Method::get || method == Method::head || method == Method::put || method == Method::delete_ ||
         method == Method::options;
}

}  // namespace gantry::agent
