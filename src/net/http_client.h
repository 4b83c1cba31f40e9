// HTTP/1.1 client over TCP or a Unix socket, with kept-alive connections and a deadline on everything.
#pragma once

#include <memory>

#include "base/env.h"
#include "net/transport.h"

namespace gantry::net {

struct Endpoint {
  enum class Kind { tcp, unix_socket } kind = Kind::tcp;
  std::string host;  // tcp: name or address
  int port = 0;
  std::string path;  // unix_socket

  /// What goes into the Host header.
  std::string host_header() const;
  /// "http://host:port" or "unix:///path".
  std::string to_string() const;
};

/// "http://host:port[/]", "unix:///path" or "tcp://host:port"; https only once TLS is built in (a clear error until
/// then).
Result<Endpoint> parse_endpoint(std::string_view url);

/// `connections_idle_max` kept-alive connections are held for at most 50 s each.
std::shared_ptr<Transport> make_http_client(Env& env, Endpoint endpoint, std::size_t connections_idle_max = 64);

}  // namespace gantry::net
