// A WebSocket (RFC 6455) on an upgraded connection: messages both ways, with keep-alive, back-pressure and a proper
// end.
//
// Two children of the socket's own work beside its owner: one writes what is queued, one pings. So whoever makes one
// ends with finish(), also when cancelled: run_socket() does both. One read() at a time and any number of write()s, all
// on the io_context thread.
//
// Errors: unavailable if the connection broke off or the peer gave no sign of life, invalid_input if the peer broke the
// protocol (it has been told so with a close).
#pragma once

#include <deque>

#include "net/limits.h"
#include "net/transport.h"
#include "net/websocket_frames.h"

namespace gantry::net {

struct WebSocketLimits {
  std::size_t message_bytes_max = 1 << 20;  // of one that is read; a larger one closes with 1009
  std::size_t queue_bytes_max = 256 << 10;  // written and not sent yet; then write() waits
  Duration ping_interval = seconds(20);
  Duration silence_max = seconds(60);   // without a byte from the peer: it is gone
  Duration stall_max = seconds(60);     // of finish(), while nothing of the queue can be sent
  Duration close_timeout = seconds(5);  // of finish(), for the peer's own close
};

class WebSocket {
 public:
  WebSocket(Env& env, std::shared_ptr<RawStream> stream, WebSocketSide side, WebSocketLimits limits);
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;
  /// finish() must have ended.
  ~WebSocket();

  /// The next text or binary message; nothing once the peer has closed, or the connection has ended after close().
  Async<std::optional<WebSocketMessage>> read();
  /// Queues a message; returns once there is room for more. Throws Error(unavailable) after the end.
  Async<> write(WebSocketMessage message);
  Async<> write_binary(std::string bytes) { return write({WebSocketMessage::Kind::binary, std::move(bytes)}); }
  /// Says that this is the end, behind what is queued; nothing can be written from now on. The first close counts.
  void close(int code, std::string_view reason);
  /// Sends what is queued, closes, and waits for the peer's close, each in bounded time; `at_once`: none of that. The
  /// last call, after all reads and writes have ended; not from a coroutine that was cancelled (run_socket() sees to
  /// it).
  Async<> finish(bool at_once = false);

  /// What the peer closed with; 1006 if it did not.
  int peer_close_code() const { return peer_close_code_; }

 private:
  Async<> write_queue();
  Async<> keep_alive();
  Async<bool> send_next();
  Async<> say_goodbye();
  std::optional<WebSocketMessage> next_to_send();
  std::optional<WebSocketMessage> take_message();
  Async<bool> receive();
  void break_off();
  bool nothing_to_send() const;

  Env& env_;
  std::shared_ptr<RawStream> stream_;
  WebSocketSide side_;
  WebSocketLimits limits_;
  FrameReader reader_;
  Scope scope_;
  Event work_;      // for the writer
  Event progress_;  // something has been sent, or the connection is over
  std::deque<WebSocketMessage> queue_;
  std::size_t queued_bytes_ = 0;
  std::optional<std::string> pong_due_;
  bool ping_due_ = false;
  std::optional<WebSocketMessage> close_due_;
  bool closing_ = false;  // close() was called, or the peer's close was answered
  bool close_sent_ = false;
  bool peer_closed_ = false;  // by a close
  bool ended_ = false;        // no more can come from the connection
  bool broken_ = false;       // nothing more can be sent
  bool silent_ = false;
  int peer_close_code_ = close_broken;
  Duration last_heard_{};
};

/// Does `talk`, which uses the socket, finishes the socket however that ends, and throws what it threw. The caller
/// cannot be cancelled any more from then on.
Async<> run_socket(std::shared_ptr<WebSocket> socket, Async<> talk);

using WebSocketTalk = std::function<Async<>(std::shared_ptr<WebSocket>)>;

/// The answer that makes a request's connection a WebSocket. `talk` begins once that is sent, and the socket is
/// finished when it ends, however it does. Throws Error(invalid_input) if the request asks for no WebSocket.
Response accept_websocket(Env& env, const Request& request, WebSocketLimits limits, WebSocketTalk talk);

/// Opens one by a GET. Throws UpgradeRefused, Error(unavailable, deadline_exceeded).
Async<std::shared_ptr<WebSocket>> connect_websocket(Env& env, std::shared_ptr<Transport> transport,
                                                    OutgoingRequest request, WebSocketLimits limits);

}  // namespace gantry::net
