// HTTP/1.1 client over TCP (plain or TLS) or a Unix socket, with kept-alive connections and a deadline on everything.
#pragma once

#include <memory>

#include "base/env.h"
#include "net/tls.h"
#include "net/transport.h"

namespace gantry::net {

struct Endpoint {
  enum class Kind { tcp, unix_socket } kind = Kind::tcp;
  std::string host;  // tcp: name or address
  int port = 0;
  std::string path;  // unix_socket
  bool tls = false;  // tcp: https
  TlsFiles tls_files;
  /// tcp: connects to no address of this machine and to none that means something else to each machine
  /// (net/local_address.h): for URLs from those who must not get at what this machine can reach.
  bool elsewhere_only = false;

  /// What goes into the Host header.
  std::string host_header() const;
  /// "http://host:port", "https://host:port" or "unix:///path".
  std::string to_string() const;
};

/// "http://host[:port][/]", "https://host[:port][/]", "unix:///path" or "tcp://host:port". No TLS files are named.
Result<Endpoint> parse_endpoint(std::string_view url);

/// Reads the endpoint's TLS files: throws Error(invalid_input, not_found) if they cannot be used. Error(unavailable) of
/// an exchange says why a server's certificate is not believed. `connections_idle_max` kept-alive connections are held
/// for at most 50 s each.
std::shared_ptr<Transport> make_http_client(Env& env, Endpoint endpoint, std::size_t connections_idle_max = 64);

}  // namespace gantry::net
