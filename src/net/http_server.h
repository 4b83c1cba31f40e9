// HTTP/1.1 server on one listening socket, plain or TLS: one coroutine a connection, deadlines on handshakes, headers,
// bodies, writes and idle connections (design 3.18).
//
// Bytes: a body is read when its handler asks for it and not before, so a connection holds at most 64 KB that nobody
// has consumed (4 KB while idle), all together at most connections_max times that. What handlers then keep of the
// bodies (read_all does, until the answer is sent) is bounded over all connections: who wants more gets
// Error(unavailable). A request that breaks the protocol is answered 400, 417 or 431 and its connection closed; one
// that is too slow is closed without an answer. A handler may answer before it has read the body: up to 64 KB of the
// rest are read away, else the connection is closed.
//
// Deadlines are checked once a second (more often if one is shorter), so they may be exceeded by that much.
#pragma once

#include <memory>

#include "base/env.h"
#include "net/http.h"
#include "net/tls.h"

namespace gantry::net {

struct ServerLimits {
  std::size_t header_bytes_max = 32 * 1024;
  std::size_t connections_max = 20'000;
  std::size_t bodies_bytes_max = std::size_t{256} << 20;  // that handlers keep of all requests together
  std::size_t handshakes_max = 512;                       // of TLS at the same time; the oldest makes room for one more
  Duration handshake_timeout = seconds(10);               // from the connection to the end of TLS's handshake
  Duration header_timeout = seconds(10);                  // from the first byte of a request to the end of its header
  Duration idle_timeout = seconds(75);                    // between requests
  Duration body_stall_timeout = seconds(30);              // between two reads of one body
  Duration write_stall_timeout = seconds(30);             // between two writes of one response
};

class HttpServer {
 public:
  /// Binds and listens at once ("127.0.0.1:0" takes a free port); throws Error if it cannot. `handler` must outlive it.
  HttpServer(Env& env, std::string listen_address, Handler& handler, ServerLimits limits = {});
  ~HttpServer();

  /// From now on connections speak TLS; those that are open go on as they are. Call it again to replace the
  /// certificate. Who speaks plain HTTP is told so with 400.
  void use_tls(std::shared_ptr<const TlsContext> context);
  /// The port that was bound.
  int port() const;
  std::size_t connections() const;
  /// Accepts from now on; stop() must have ended before the server is destroyed.
  void start();
  /// Stops listening, lets requests that are being answered finish (at most `grace`), then cancels what is left, closes
  /// everything and waits until nothing of the server runs.
  Async<> stop(Duration grace);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::net
