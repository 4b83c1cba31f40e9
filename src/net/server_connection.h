// One accepted connection of an HttpServer: reads requests, has them answered, writes the answers.
//
// Lifetime: run() holds a reference; so do a body reader that waits and a watch that is armed. A request's body and
// watch may outlive the request: then reading throws and watching does nothing.
#pragma once

#include <list>

#include "base/env.h"
#include "net/channel.h"
#include "net/http_server.h"
#include "net/response_head.h"

namespace gantry::net {

/// What all connections of a server share.
struct ServerContext {
  Env& env;
  Handler& handler;
  ServerLimits limits;
  std::string date;                               // for the Date header; refreshed by the sweeper
  std::shared_ptr<const TlsContext> tls;          // null: plain text
  std::list<class ServerConnection*> handshakes;  // under way, the oldest first
  std::size_t bodies_bytes = 0;                   // that handlers keep
  bool stopping = false;                          // answer what was asked, then close
  bool cancelled = false;                         // stop now
};

class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
 public:
  ServerConnection(ServerContext& server, StreamSocket socket, std::string peer, bool peer_is_loopback);

  /// Until the connection is over, for whatever reason; logs what is unexpected.
  static Async<> run(std::shared_ptr<ServerConnection> self);

  /// Closes the connection if a wait of it has lasted longer than its limit.
  void check_deadlines(Duration now);
  /// Closes the connection if no request has begun.
  void close_if_idle();
  /// Closes the connection and stops a response that is being streamed.
  void abort();

  // For RequestLink.
  Async<std::string> read_body(std::uint64_t request);
  void keep_body(std::uint64_t request, std::size_t bytes);
  void watch_peer(std::uint64_t request, std::function<void()> gone);

 private:
  static constexpr Duration never = Duration::max();

  Async<> serve();
  /// False if no TLS connection came about, or the client does not speak TLS and was told so.
  Async<bool> secure();
  Async<bool> read_header();
  Async<bool> refuse(int status, std::string reason);
  Async<bool> answer();
  Request make_request();
  Async<Response> ask_handler();
  /// False if the connection has to be closed.
  Async<bool> deliver(Response response);
  Async<> hand_over(std::function<Async<>(std::shared_ptr<RawStream>)> talk);
  Async<IoError> write(Pieces pieces);
  Async<bool> send_stream(std::shared_ptr<BodyReader> stream, ResponsePlan plan);
  Async<> pump(std::shared_ptr<BodyReader> stream, ResponsePlan plan);
  Async<> send_piece(std::string bytes, bool chunked);
  void release_body();
  Async<bool> drain_body();
  Async<> linger();

  bool body_can_be_drained() const;
  void arm_watch();
  void on_readable(const IoError& error);
  void on_peer_gone();
  bool is_watching() const { return gone_ != nullptr || stream_stop_ != nullptr; }
  [[noreturn]] void fail_body(const BodyPiece& piece);

  ServerContext& server_;
  Channel channel_;
  std::string peer_;
  bool peer_is_loopback_;
  std::optional<RequestParser> parser_;
  std::string out_;

  std::uint64_t request_ = 0;   // the one being answered; a link to another one is stale
  std::size_t body_kept_ = 0;   // of its body, counted in server_.bodies_bytes
  bool idle_ = true;            // no byte of a request has come
  bool continue_owed_ = false;  // the client waits for "100 Continue" before it sends the body
  bool body_broken_ = false;    // no more requests can be read from here
  bool peer_gone_ = false;
  bool watch_armed_ = false;
  bool timed_out_ = false;
  std::function<void()> gone_;                              // the handler's callback
  std::shared_ptr<asio::cancellation_signal> stream_stop_;  // while a response is streamed

  Duration read_deadline_ = never;  // of Env::uptime()
  Duration write_deadline_ = never;
};

}  // namespace gantry::net
