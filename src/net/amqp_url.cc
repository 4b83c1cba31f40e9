#include "net/amqp_url.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "net/http.h"

namespace gantry::net {
namespace {

constexpr int plain_port = 5672;
constexpr int tls_port = 5671;

/// A name, an IPv4 address, or what stands in the brackets of an IPv6 address.
bool is_host(std::string_view text) {
  auto plain = [](char c) {
    return c > ' ' && c < 0x7F && std::string_view("/@?#[]%\"\\").find(c) == std::string_view::npos;
  };
  return !text.empty() && std::ranges::all_of(text, plain);
}

bool has_no_zero(std::string_view text) { return text.find('\0') == std::string_view::npos; }

/// "host", "host:port" or "[address]:port" into the URL; its port is there already. False if it is none.
bool read_place(std::string_view place, AmqpUrl& url) {
  bool bracketed = place.starts_with('[');
  std::size_t end = std::min(place.find(bracketed ? ']' : ':'), place.size());
  url.host = place.substr(bracketed, end - bracketed);
  place.remove_prefix(end);
  if (bracketed && !place.starts_with(']')) return false;
  if (bracketed) place.remove_prefix(1);
  if (!is_host(url.host)) return false;
  if (place.empty()) return true;
  std::string_view digits = place.substr(1);
  auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
  bool whole = place.front() == ':' && error == std::errc() && rest == digits.data() + digits.size();
  return whole && url.port > 0 && url.port < 65536;
}

}  // namespace

std::string AmqpUrl::shown() const {
  std::string place = host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  return fmt::format("{}://{}:{}/{}", tls ? "amqps" : "amqp", place, port, net::percent_encode(vhost));
}

Result<AmqpUrl> parse_amqp_url(std::string_view url) {
  const Error wrong(
      ErrorCode::invalid_input, "the pulse URL is not one (it is not shown: it holds a password)",
      "it looks like amqp://user:password@host:5672/vhost, or amqps://... with TLS; a special character in "
      "user, password or vhost is written as %XX");
  AmqpUrl parsed;
  parsed.tls = url.starts_with("amqps://");
  if (!parsed.tls && !url.starts_with("amqp://")) return wrong;
  url.remove_prefix(parsed.tls ? 8 : 7);
  std::size_t slash = std::min(url.find('/'), url.size());
  std::string_view authority = url.substr(0, slash);
  std::string_view path = url.substr(std::min(slash + 1, url.size()));
  std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return wrong;
  std::string_view login = authority.substr(0, at);
  std::size_t colon = login.find(':');
  parsed.port = parsed.tls ? tls_port : plain_port;
  bool placed = read_place(authority.substr(at + 1), parsed);
  auto user = net::percent_decode(login.substr(0, colon));
  auto password = net::percent_decode(colon == std::string_view::npos ? "" : login.substr(colon + 1));
  auto vhost = net::percent_decode(path);
  bool complete = placed && user && !user->empty() && password && vhost && has_no_zero(*user) &&
                  has_no_zero(*password) && has_no_zero(*vhost) && path.find_first_of("/?#") == std::string_view::npos;
  if (!complete) return wrong;
  parsed.user = std::move(*user);
  parsed.password = std::move(*password);
  parsed.vhost = vhost->empty() ? "/" : std::move(*vhost);
  return parsed;
}

}  // namespace gantry::net
