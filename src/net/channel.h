// A connected socket (TCP or Unix), with TLS on it or without, together with the bytes that were read from it and not
// consumed yet. What the server's and the client's connections have in common.
//
// Errors are error codes here: the owner knows what they mean (a deadline that closed the socket, a peer that left).
// Whoever waits on a channel keeps it alive. At most one read and one write wait at the same time.
#pragma once

#include <array>
#include <optional>
#include <span>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "net/message_parser.h"
#include "net/tls_session.h"

namespace gantry::net {

using IoError = boost::system::error_code;
using StreamSocket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;

/// Received bytes, contiguous. Grows in steps up to the limit given to prepare().
class InputBuffer {
 public:
  bool empty() const { return begin_ == end_; }
  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  void consume(std::size_t bytes);
  /// Room behind the held bytes; empty if `bytes_max` are held already.
  std::span<char> prepare(std::size_t bytes_max);
  void commit(std::size_t bytes) { end_ += bytes; }
  /// Gives a grown buffer back, if it is empty.
  void shrink();

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// Bytes to be sent, in order; write_now() takes what it has sent from the front.
struct Pieces {
  std::array<std::string_view, 3> parts{};
  bool empty() const { return parts[0].empty() && parts[1].empty() && parts[2].empty(); }
  void consume(std::size_t bytes);
};

/// A part of a body, or why there is none. No bytes and no error: the body is complete.
struct BodyPiece {
  std::string bytes;
  IoError error;
  bool malformed = false;  // the peer broke the framing (and `error` is set)
};

class Channel {
 public:
  /// Takes a connected socket; makes it non-blocking.
  explicit Channel(StreamSocket socket);

  /// From now on everything is said through TLS, once handshake() has succeeded. Before any byte is sent or read.
  void accept_tls(std::shared_ptr<const TlsContext> context);
  /// The same for the connecting side; `host` is the one that the server must prove to be.
  void connect_tls(std::shared_ptr<const TlsContext> context, const std::string& host);
  Async<IoError> handshake();
  /// Back to plain text, before the handshake has begun.
  void drop_tls() { tls_.reset(); }
  /// Null without TLS.
  const TlsSession* tls() const { return tls_.get(); }
  /// Waits for the first byte and returns it, without taking it; no byte if the connection ends before.
  Async<std::optional<char>> first_byte();

  InputBuffer& input() { return input_; }
  StreamSocket& socket() { return socket_; }

  /// Waits for bytes and puts them into input(). asio::error::eof at the end, no_buffer_space if input() already holds
  /// `bytes_max`.
  Async<IoError> fill(std::size_t bytes_max);
  /// Takes into input() what has arrived, without waiting; would_block if that is nothing, else as fill().
  IoError fill_now(std::size_t bytes_max);
  /// Waits for bytes past input(), which must be empty.
  Async<BodyPiece> read_piece(std::size_t bytes_max);
  /// True while a fill() or read_piece() waits.
  bool is_reading() const { return reading_; }

  /// The next part of a body if it is in input() already (or the body is complete).
  std::optional<BodyPiece> body_piece_now(BodyParser& parser);
  /// The next part of a body.
  Async<BodyPiece> body_piece(BodyParser& parser);

  /// Sends what the system takes at once; would_block if something is left.
  IoError write_now(Pieces& pieces);
  Async<IoError> wait_writable();
  /// Sends all of it. The bytes stay the caller's.
  Async<IoError> write_all(Pieces pieces);

  /// True if the peer has closed or reset the connection, as far as the system knows. Bytes that have arrived hide it.
  bool peer_is_gone();
  /// True if nothing has arrived and the peer is there: fit to be used for another request.
  bool is_quiet();
  /// No more will be sent; the peer sees the end after what was sent.
  void shutdown_send();
  /// Marks a proper end, as TLS wants it; to be closed next. Without it the peer sees a connection that was cut.
  void say_end();
  void close();
  bool is_open() const { return socket_.is_open(); }

 private:
  std::optional<BodyPiece> finish_piece(BodyParser& parser, IoError error);
  /// Waits for bytes and puts them into `room`; sets `bytes` to how many.
  Async<IoError> receive_tls(std::span<char> room, std::size_t& bytes);
  /// Until the TLS session can go on.
  Async<IoError> wait_for_tls();

  StreamSocket socket_;
  std::unique_ptr<TlsSession> tls_;
  InputBuffer input_;
  bool reading_ = false;
};

/// Runs `work` as a child of the calling coroutine and returns when it has ended, with what it threw. `stop` cancels
/// the child alone; cancelling the caller cancels it too.
Async<> run_stoppable(Async<> work, std::shared_ptr<asio::cancellation_signal> stop);

}  // namespace gantry::net
